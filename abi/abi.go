// Package abi holds facts about the kernel's BPF interface as tables: program
// types and their contexts, helpers, map types, section names, by kernel
// version. Code asks the tables; it never asks "which helper is this" where a
// field here can say it. Source of numbers: include/uapi/linux/bpf.h.
package abi

// ProgType is enum bpf_prog_type.
type ProgType uint32

const (
	ProgUnspec        ProgType = 0
	SocketFilter      ProgType = 1
	Kprobe            ProgType = 2 // kprobe, kretprobe, uprobe, uretprobe
	SchedCLS          ProgType = 3
	SchedACT          ProgType = 4
	Tracepoint        ProgType = 5
	XDP               ProgType = 6
	PerfEvent         ProgType = 7
	CGroupSKB         ProgType = 8
	CGroupSock        ProgType = 9
	LWTIn             ProgType = 10
	LWTOut            ProgType = 11
	LWTXmit           ProgType = 12
	SockOps           ProgType = 13
	SKSKB             ProgType = 14
	CGroupDevice      ProgType = 15
	SKMsg             ProgType = 16
	RawTracepoint     ProgType = 17
	CGroupSockAddr    ProgType = 18
	LWTSeg6Local      ProgType = 19
	LIRCMode2         ProgType = 20
	SKReuseport       ProgType = 21
	FlowDissector     ProgType = 22
	CGroupSysctl      ProgType = 23
	RawTracepointWrit ProgType = 24
	CGroupSockopt     ProgType = 25
	Tracing           ProgType = 26 // fentry, fexit, tp_btf, iter, by attach type
	StructOps         ProgType = 27
	Ext               ProgType = 28
	LSM               ProgType = 29
	SKLookup          ProgType = 30
	Syscall           ProgType = 31
	Netfilter         ProgType = 32
)

// AttachType is enum bpf_attach_type.
type AttachType uint32

const (
	AttachNone             AttachType = 0
	AttachIngress          AttachType = 0 // CGroupSKB
	AttachEgress           AttachType = 1 // CGroupSKB
	AttachSockCreate       AttachType = 2
	AttachSockOps          AttachType = 3
	AttachStreamParser     AttachType = 4
	AttachStreamVerdict    AttachType = 5
	AttachCGroupDevice     AttachType = 6
	AttachSKMsgVerdict     AttachType = 7
	AttachBind4            AttachType = 8
	AttachBind6            AttachType = 9
	AttachConnect4         AttachType = 10
	AttachConnect6         AttachType = 11
	AttachPostBind4        AttachType = 12
	AttachPostBind6        AttachType = 13
	AttachSendmsg4         AttachType = 14
	AttachSendmsg6         AttachType = 15
	AttachLIRCMode2        AttachType = 16
	AttachFlowDissector    AttachType = 17
	AttachSysctl           AttachType = 18
	AttachRecvmsg4         AttachType = 19
	AttachRecvmsg6         AttachType = 20
	AttachGetsockopt       AttachType = 21
	AttachSetsockopt       AttachType = 22
	AttachTraceRawTp       AttachType = 23 // tp_btf
	AttachFEntry           AttachType = 24
	AttachFExit            AttachType = 25
	AttachModifyRet        AttachType = 26
	AttachLSMMac           AttachType = 27
	AttachTraceIter        AttachType = 28
	AttachGetpeername4     AttachType = 29
	AttachGetpeername6     AttachType = 30
	AttachGetsockname4     AttachType = 31
	AttachGetsockname6     AttachType = 32
	AttachXDPDevmap        AttachType = 33
	AttachSockRelease      AttachType = 34
	AttachXDPCpumap        AttachType = 35
	AttachSKLookup         AttachType = 36
	AttachXDP              AttachType = 37
	AttachSKSKBVerdict     AttachType = 38
	AttachReuseport        AttachType = 39
	AttachReuseportMigrate AttachType = 40
	AttachPerfEvent        AttachType = 41
	AttachKprobeMulti      AttachType = 42
	AttachLSMCgroup        AttachType = 43
	AttachStructOps        AttachType = 44
	AttachNetfilter        AttachType = 45
	AttachTCXIngress       AttachType = 46
	AttachTCXEgress        AttachType = 47
	AttachUprobeMulti      AttachType = 48
	AttachConnectUnix      AttachType = 49
	AttachSendmsgUnix      AttachType = 50
	AttachRecvmsgUnix      AttachType = 51
	AttachGetpeernameUnix  AttachType = 52
	AttachGetsocknameUnix  AttachType = 53
	AttachNetkitPrimary    AttachType = 54
	AttachNetkitPeer       AttachType = 55
	AttachKprobeSession    AttachType = 56
	AttachUprobeSession    AttachType = 57
)

// Attach says what an entry program is and where it goes.
type Attach struct {
	Type      ProgType
	Expected  AttachType
	Target    string // function, tracepoint, "path:symbol", …; "" for none
	Sleepable bool
	Alignment Alignment
}

// MapType is enum bpf_map_type.
type MapType uint32

const (
	MapHash          MapType = 1
	MapArray         MapType = 2
	MapProgArray     MapType = 3
	MapPerfEvent     MapType = 4
	MapPerCPUHash    MapType = 5
	MapPerCPUArray   MapType = 6
	MapStackTrace    MapType = 7
	MapCgroupArray   MapType = 8
	MapLRUHash       MapType = 9
	MapLRUPerCPUHash MapType = 10
	MapLPMTrie       MapType = 11
	MapArrayOfMaps   MapType = 12
	MapHashOfMaps    MapType = 13
	MapDevmap        MapType = 14
	MapSockmap       MapType = 15
	MapCpumap        MapType = 16
	MapXSKmap        MapType = 17
	MapSockhash      MapType = 18
	MapCgroupStor    MapType = 19
	MapReuseport     MapType = 20
	MapPerCPUCgStor  MapType = 21
	MapQueue         MapType = 22
	MapStack         MapType = 23
	MapSKStorage     MapType = 24
	MapDevmapHash    MapType = 25
	MapStructOps     MapType = 26
	MapRingBuf       MapType = 27
	MapInodeStorage  MapType = 28
	MapTaskStorage   MapType = 29
	MapBloom         MapType = 30
	MapUserRingBuf   MapType = 31
	MapCgrpStorage   MapType = 32
	MapArena         MapType = 33
)

// Flags of maps (include/uapi/linux/bpf.h: BPF_F_*).
const (
	MapNoPrealloc uint32 = 1 << 0
	// MapStackBuildID: stack traces of build ids instead of addresses.
	MapStackBuildID uint32 = 1 << 5
	MapRdonlyProg   uint32 = 1 << 7
	MapMmapable     uint32 = 1 << 10
	MapInnerMap     uint32 = 1 << 12 // an array within a map: each may have another length
)

// PerCPU reports whether a map of type t has one value per CPU.
func (t MapType) PerCPU() bool {
	return t == MapPerCPUHash || t == MapPerCPUArray || t == MapLRUPerCPUHash
}

// Version is a kernel release: major<<16 | minor<<8. Zero: always been there.
type Version uint32

// V makes a Version.
func V(major, minor int) Version { return Version(major<<16 | minor<<8) }

// Helper is the prototype of a helper function.
type Helper struct {
	ID    int32
	Name  string // with the bpf_ prefix
	Args  []ArgKind
	Ret   RetKind
	GPL   bool // for programs under a GPL-compatible license only
	Since Version

	// Sizes are the bytes of its ArgFixedMem and ArgFixedWritableMem arguments, in order.
	Sizes []int
	// Type is the kernel struct that its ArgBTF argument points to, RetType the one that it returns.
	Type, RetType string
	// CastArg is the 1-based argument whose object it returns in another view, with the same reference; 0 for none.
	CastArg int
	// LengthOrError: it returns at most the size that it was given, or an error number.
	LengthOrError bool
	// FindsKnown: it finds the element of an array whose constant key is below the length (since Linux 6.14).
	FindsKnown bool
	// CPUNumber: it returns the number of a CPU.
	CPUNumber bool
	// ChangesMap: it changes the map, other than through a pointer to a value.
	ChangesMap bool
	// Format: the constant string in its third argument is a format for the values in its fourth.
	Format bool
	// ZeroFlags: the last argument must be 0.
	ZeroFlags bool
	// Config is the configuration option that the kernel needs for it; "" for none.
	Config string
	// Locked is the lockdown that takes it from all programs; LockdownNone: none does.
	Locked Lockdown
	// Sleepable: for sleepable programs only.
	Sleepable bool
	// Perfmon: tracing program types, and others only with CAP_PERFMON; these
	// since Linux 6.1, with PerfmonAlways from the start.
	Perfmon, PerfmonAlways bool
	// TypedLate: Linux 6.12 does not let it read typed kernel memory yet.
	TypedLate bool
	// InvalidatesPacket: packet pointers are void after the call.
	InvalidatesPacket bool
	// PacketAccess: its memory arguments may be packet data.
	PacketAccess bool
	// AcquiresRef: the returned pointer must be released by a helper with ReleaseArg.
	AcquiresRef bool
	// ReleaseArg is the 1-based argument whose reference the call releases; 0 for none.
	ReleaseArg int
	// Lock: what it does with the lock in its ArgSpinLock argument.
	Lock LockRole
	// Dynptr is the kind of dynptr that it makes of its ArgUninitDynptr argument.
	Dynptr DynptrKind
	// WritesDynptr: it writes to its ArgDynptr argument, which changes the packet where that is one.
	WritesDynptr bool
	// TailCall: it goes on in another program, or fails and returns.
	TailCall bool
	// Callback says how it calls the function that it is given; nil: it is given none.
	Callback *Callback
	// MapTypes lists the map types its ConstMapPtr argument may have; nil: any that MapAllowsHelper lets through.
	MapTypes []MapType
	// Progs lists the program types that have it; nil: every type. StructOps and
	// Ext are in no list: what they may call depends on what they stand for.
	Progs []ProgType
	// Expected narrows one of Progs: the attach types that have it; nil: all.
	// It is Tracing, or what ExpectedOf says.
	Expected   []AttachType
	ExpectedOf ProgType
	// Except are attach types that don't have it, whatever the program type.
	Except []AttachType
	// Not are pairs of program and attach type that don't have it.
	Not []Attach
	// Hooks narrows LSM to these hooks; nil: all. SleepableHooks: to those where programs may sleep.
	Hooks          []string
	SleepableHooks bool
	// Iters narrows Tracing to these iterators; nil: whatever Expected says.
	Iters []string
	// Targets narrows Tracing's fentry, fexit and typed tracepoints to these
	// functions and events; nil: all. With NotTargets only those whose name does not begin so.
	Targets    []string
	NotTargets string
}

// Lockdown is how far a kernel is locked down.
type Lockdown uint8

const (
	LockdownNone            Lockdown = iota
	LockdownIntegrity                // nobody changes the kernel
	LockdownConfidentiality          // nor reads from it
)

// LockRole is what a function does with a lock.
type LockRole uint8

const (
	NoLock LockRole = iota
	TakesLock
	DropsLock
)

// ArgKind is what a helper or kfunc demands of an argument.
type ArgKind uint8

const (
	ArgNone             ArgKind = iota
	ArgAnything                 // any initialised register; a pointer only when privileged
	ArgConstMapPtr              // a map, from a 64-bit load
	ArgMapKey                   // readable memory of the map's key size
	ArgMapValue                 // readable memory of the map's value size
	ArgUninitMapValue           // writable memory of the map's value size
	ArgMem                      // readable memory; its size is the next argument
	ArgMemOrNull                // the same, or NULL with size 0
	ArgUninitMem                // writable memory; its size is the next argument
	ArgConstSize                // size of the memory before: at least 1
	ArgConstSizeOrZero          // size of the memory before: 0 allowed
	ArgCtx                      // the program's context, unmodified
	ArgConstAllocSize           // a constant: the size of the memory returned
	ArgRingMem                  // a ring-buffer record from bpf_ringbuf_reserve, at its start
	ArgConstStr                 // NUL-terminated string in a read-only map value
	ArgBTF                      // pointer to the kernel struct in Type
	ArgFuncPtr                  // a subprogram (callback)
	ArgStackOrNull              // callback context: stack pointer or NULL
	ArgConst                    // a constant scalar (kfunc __k)
	ArgUninitMemOrNull          // writable memory or NULL with size 0; its size is the next argument
	ArgUninitU64                // eight writable bytes, aligned
	ArgWritableMem              // memory that is read and written; its size is the next argument
	ArgFixedMem                 // readable memory of the bytes in Sizes
	ArgFixedWritableMem         // memory of the bytes in Sizes that is read and written, aligned
	ArgMapValueOrNull           // readable memory of the map's value size, or NULL
	ArgCtxOrNull                // the program's context, or NULL
	ArgBTFOrNull                // pointer to the kernel struct in Type, or NULL
	ArgSockCommon               // bpf_sock, bpf_tcp_sock or bpf_xdp_sock
	ArgSockOrNull               // bpf_sock of a full socket, or NULL
	ArgAnySock                  // what ArgSockCommon takes, or a pointer to the kernel's struct sock_common
	ArgAnySockOrNull            // the same, or NULL
	ArgPerCPU                   // per-CPU variable of the kernel
	ArgSpinLock                 // bpf_spin_lock in a map value or allocated object
	ArgTimer                    // bpf_timer in a map value
	ArgKptr                     // field of a map value or allocated object that holds a kernel pointer
	ArgKptrValue                // what ArgKptr holds: an owned reference, or NULL
	ArgDynptr                   // initialised dynptr
	ArgUninitDynptr             // stack for a dynptr
	ArgRingDynptr               // dynptr of a reserved ring-buffer record
)

// RetKind is what a helper or kfunc returns.
type RetKind uint8

const (
	RetInteger RetKind = iota
	RetVoid
	RetMapValueOrNull
	RetRingMemOrNull // memory of the size in the ArgConstAllocSize argument
	RetBTFTrusted    // trusted pointer to the kernel struct in RetType
	RetUserCast      // gtrace_user_cast: a typed, untrusted, user-space pointer
	RetMapValue
	RetBTF // pointer to the kernel struct in RetType
	RetBTFOrNull
	RetSockOrNull
	RetSockCommonOrNull
	RetTCPSockOrNull
	RetPerCPU // this CPU's instance of the variable in the ArgPerCPU argument
	RetPerCPUOrNull
	RetKptrOrNull      // what the ArgKptr argument held
	RetDynptrMemOrNull // memory of the size in the ArgConstAllocSize argument, within the dynptr's
)

// Pseudo-kfuncs that only gtrace's own engine has (docs/rationale.md, "Why pseudo-kfuncs?").
// In an Image they are calls with Src CallKfunc and Imm their ID.
const (
	KfuncUserCast int32 = -1 // gtrace_user_cast(u64 value, const u32 type) → typed user pointer; type indexes Object.UserTypes
	KfuncFault    int32 = -2 // gtrace_fault() → event.Fail of the loads since the last call (0: none), and clears it
)

// Kfunc is the prototype of a pseudo-kfunc.
type Kfunc struct {
	ID   int32
	Name string
	Args []ArgKind
	Ret  RetKind
}

// Kfuncs are gtrace's pseudo-kfuncs.
var Kfuncs = []Kfunc{
	{KfuncUserCast, "gtrace_user_cast", []ArgKind{ArgAnything, ArgConst}, RetUserCast},
	{KfuncFault, "gtrace_fault", nil, RetInteger},
}

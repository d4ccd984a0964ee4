// A bit of everything that an object file can hold. Built by the tests:
// clang-19 -g -O2 -target bpf -mcpu=v3 -c many.c
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(n) __attribute__((section(n), used))
#define EXT(n) __attribute__((section(n)))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define noinline __attribute__((noinline))

static long (*map_lookup)(void *, const void *) = (void *)1;
static u64 (*ktime)(void) = (void *)5;
static long (*loop)(u32, void *, void *, u64) = (void *)181;
static long (*tail_call)(void *, void *, u32) = (void *)12;
static long (*probe_read)(void *, u32, const void *) = (void *)113;
static long (*get_task)(void) = (void *)35;

struct value { u64 count; u32 last; char name[12]; };

struct {
	__uint(type, 1);
	__uint(max_entries, 64);
	__uint(map_flags, 1);
	__type(key, u32);
	__type(value, struct value);
} counts SEC(".maps");

struct inner {
	__uint(type, 2);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 8);
} in1 SEC(".maps"), in2 SEC(".maps");

struct {
	__uint(type, 12);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &in2, [0] = &in1 } };

int second(void *ctx);
struct {
	__uint(type, 3);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(pinning, 1);
	__array(values, int(void *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&second } };

u64 total = 7;
static volatile u32 hidden = 5;
u32 zeroed[4];
const volatile u32 limit = 100;
volatile u32 special SEC(".data.special") = 9;

#ifdef EXTERNS
extern int kfunc_one(u64 v) EXT(".ksyms");
extern const int weak_sym EXT(".ksyms") __attribute__((weak));
extern const void untyped EXT(".ksyms");
extern u32 LINUX_KERNEL_VERSION EXT(".kconfig");
extern _Bool CONFIG_SMP EXT(".kconfig") __attribute__((weak));
#endif

noinline int global_sub(u32 v) { return v * 3 + ktime(); }
static noinline u64 static_sub(u64 v) { asm volatile("" : "+r"(v)); return v + zeroed[v & 3]; }
static long callback(u32 i, void *ctx) { *(u64 *)ctx += i; return i > limit; }

SEC("tracepoint/syscalls/sys_enter_write") int first(void *ctx)
{
	u32 key = 1;
	struct value *v = (void *)map_lookup(&counts, &key);
	if (v)
		__sync_fetch_and_add(&v->count, 1);
	u64 sum = hidden + special;
	loop(10, callback, &sum, 0);
	total += sum + static_sub(sum) + global_sub(hidden);
	tail_call(ctx, &jumps, 1);
	return map_lookup(&outer, &key) != 0;
}

SEC("tracepoint/syscalls/sys_enter_write") int second(void *ctx) { total++; return static_sub(total); }

#ifdef CORE
struct task_struct { int pid; int tgid; } __attribute__((preserve_access_index));
enum bpf_map_kind___x { A = 1 };
SEC("raw_tp/sys_enter") int relocated(u64 *ctx)
{
	struct task_struct *t = (void *)get_task();
	int pid = 0;
	probe_read(&pid, sizeof(pid), &t->tgid);
	if (__builtin_preserve_field_info(t->pid, 2))
		total += __builtin_preserve_type_info(*(struct task_struct *)0, 1);
	return pid + __builtin_btf_type_id(*(struct task_struct *)0, 0);
}
#endif

#ifdef EXTERNS
SEC("tp_btf/sys_enter") int externs(u64 *ctx)
{
	u64 r = LINUX_KERNEL_VERSION + CONFIG_SMP;
	if (&weak_sym)
		r += (u64)&weak_sym;
	r += (u64)&untyped;
	return r + kfunc_one(ctx[0]);
}
#endif

char _license[] SEC("license") = "GPL";

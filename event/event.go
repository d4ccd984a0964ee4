// Package event defines what a traced program sends and leaves behind: the
// layout of records in the ring buffer, of values in maps, and the bits that
// say a value could not be read. The script compiler writes to this schema,
// engines carry the bytes, package out renders them. It imports nothing of gtrace.
package event

// Schema describes everything a compiled script emits.
type Schema struct {
	Actions []Action // a record's first word is an index into it
	Maps    []Map    // the script's maps, in order of first use
	Probes  []string // full probe names; row i of the stats map belongs to Probes[i]
}

// Names of the maps that every compiled script has; not valid map names in a script.
const (
	RingMap  = "gtrace_events" // ring buffer of records
	StatsMap = "gtrace_stats"  // per-CPU array, one Stats a probe
	AnonMap  = "gtrace_map"    // what the map `@` is called
)

// Stats is the value of StatsMap: counts for one probe on one CPU (u64 each, native byte order).
type Stats struct {
	Hits   uint64 // runs of the probe's clause whose predicate was not yet looked at
	Lost   uint64 // records that found the ring buffer full
	Failed uint64 // values that could not be read
	Full   uint64 // updates that found a map full
}

// StatsSize is the size of Stats in bytes.
const StatsSize = 32

// Fail says why a value is not there. In a record: two bits per argument,
// argument i at bits 2i and 2i+1 of the record's second word. In a map's
// value with HasFail: the first word.
type Fail uint8

const (
	OK    Fail = 0
	Fault Fail = 1 // the memory could not be read: shown as <fault>
	Null  Fail = 2 // a pointer in the chain was NULL: shown as <null>
)

// Record layout: u64 index into Schema.Actions, u64 fail bits, then the
// arguments at their Offset.
const (
	RecordAction = 0
	RecordFail   = 8
	RecordArgs   = 16
	MaxArgs      = 32 // arguments of one action, by the fail word
)

// ActionKind is what the receiver does with a record.
type ActionKind uint8

const (
	Printf     ActionKind = iota + 1
	PrintValue            // print(expr): the value and a newline
	PrintMap              // print(@m [, top [, div]])
	ClearMap              // clear(@m)
	ZeroMap               // zero(@m)
	Exit                  // exit([code])
)

// Action is one statement that sends records.
type Action struct {
	Kind   ActionKind
	Probe  int    // index into Schema.Probes
	Format string // Printf: the format with its verbs, escapes resolved
	Args   []Arg  // Printf, PrintValue (one), Exit (none, or one integer)
	Size   int    // size of a whole record in bytes

	Map      string // PrintMap, ClearMap, ZeroMap: name without @
	Top, Div int64  // PrintMap: only the Top largest (0: all), values divided by Div (0: 1)
}

// Arg is one argument of an action.
type Arg struct {
	Offset int // in the record, bytes
	Type   Type
}

// Kind is the kind of a value.
type Kind uint8

const (
	Int    Kind = iota + 1 // Size 1, 2, 4, 8; Signed
	Bool                   // Size 1..8
	String                 // Size bytes, NUL-terminated within
	Ptr                    // 8 bytes, shown in hex
	Enum                   // Size, Signed; Names
	KSym                   // 8 bytes: kernel address, shown as symbol+offset
	USym                   // 16 bytes: user address, then u64 tgid; shown as symbol+offset
	Bytes                  // Size raw bytes, shown as \xNN
	Struct                 // Size; Fields
	Array                  // Size; Elem, Len
	Tuple                  // Size; Fields without names
)

// Type is the type of a value in a record, a key or a map's value.
type Type struct {
	Kind   Kind
	Size   int // bytes
	Signed bool
	Name   string           // C name where there is one
	Names  map[int64]string // Enum
	Fields []Field          // Struct, Tuple
	Elem   *Type            // Array
	Len    int              // Array
}

// Field is a member of a Struct or Tuple.
type Field struct {
	Name   string
	Offset int // bytes
	Type   Type
	// Bitfield: BitSize > 0, BitOffset from Offset's lowest bit.
	BitOffset, BitSize int
}

// Agg is how a map's values are gathered.
type Agg uint8

const (
	Plain Agg = iota // @x = value
	Count            // per CPU: u64 n
	Sum              // per CPU: s64 or u64 sum
	Avg              // per CPU: u64 n, s64 sum
	Stat             // per CPU: u64 n, s64 sum; shows count, average, total
	Min              // per CPU: u64 set, s64 or u64 value
	Max              // per CPU: u64 set, s64 or u64 value
	Hist             // per CPU: u64 buckets[HistBuckets]
	LHist            // per CPU: u64 buckets[(Max-Min)/Step+2]
)

// Log2 histogram buckets: 0 for negative values, 1 for 0, then 2+i for [2^i, 2^(i+1)).
const HistBuckets = 66

// Map describes a script's map.
type Map struct {
	Name         string // without @
	Keys         []Field
	KeySize      int // 0: a scalar map; its BPF map has one u32 key of 0 (array types)
	Value        Type
	Agg          Agg
	Signed       bool // Sum, Min, Max, Avg, Stat: of a signed value
	PerCPU       bool
	HasFail      bool  // Plain: the value is preceded by a u64 Fail word
	Lo, Hi, Step int64 // LHist
}

// BPFName is the name of the BPF map that holds m: the map `@` has no name of its own.
func (m Map) BPFName() string {
	if m.Name == "" {
		return AnonMap
	}
	return m.Name
}

// ValueSize is the size of one CPU's value in bytes.
func (m Map) ValueSize() int {
	switch m.Agg {
	case Plain:
		n := (m.Value.Size + 7) &^ 7
		if m.HasFail {
			n += 8
		}
		return n
	case Count, Sum:
		return 8
	case Avg, Stat, Min, Max:
		return 16
	case Hist:
		return 8 * HistBuckets
	case LHist:
		return 8 * m.LHistBuckets()
	}
	return 0
}

// LHistBuckets is the number of buckets of a linear histogram: one below Lo, the steps, one from Hi on.
func (m Map) LHistBuckets() int { return int((m.Hi-m.Lo)/m.Step) + 2 }

// Package place defines where a probe sits: the value that package probe
// resolves names to and that engines attach programs to. It imports nothing.
package place

import "fmt"

// Kind is the kind of a probe.
type Kind uint8

const (
	Begin Kind = iota + 1 // once, before the other probes fire
	End                   // once, after the last
	Interval
	Uprobe        // at an instruction of a user-space binary
	Uretprobe     // when a function of a user-space binary returns
	Tracepoint    // kernel tracepoint, by the record that tracefs describes
	RawTracepoint // kernel tracepoint, by the arguments that BTF describes
)

var kindNames = [...]string{Begin: "BEGIN", End: "END", Interval: "interval", Uprobe: "uprobe", Uretprobe: "uretprobe", Tracepoint: "tracepoint", RawTracepoint: "rawtracepoint"}

// String is the probe type's name in a script.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("place.Kind(%d)", uint8(k))
}

// User reports whether the probe sits in a user-space binary.
func (k Kind) User() bool { return k == Uprobe || k == Uretprobe }

// Kernel reports whether only the kernel engine can attach such a probe.
func (k Kind) Kernel() bool { return k == Tracepoint || k == RawTracepoint }

// Place is one resolved place. Which fields are set follows from Kind.
type Place struct {
	Kind Kind

	// Uprobe, Uretprobe.
	Path   string // the binary, as gtrace opens it (may be /proc/PID/root/…)
	Symbol string // the function; "" for a bare address
	Addr   uint64 // virtual address in the ELF file's own terms, of the function's entry plus the script's offset, past an endbr64
	Offset uint64 // the same as a file offset, as perf's uprobe takes it
	Size   uint64 // size of the function in bytes, 0 if not known

	// Tracepoint: Category and Event. RawTracepoint: Event.
	Category, Event string

	// Interval.
	PeriodNS uint64
}

// String is the probe's full name, as the builtin `probe` gives it.
func (p Place) String() string {
	switch p.Kind {
	case Begin, End:
		return p.Kind.String()
	case Interval:
		for _, u := range [...]struct {
			name string
			ns   uint64
		}{{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}} {
			if p.PeriodNS%u.ns == 0 {
				return fmt.Sprintf("interval:%s:%d", u.name, p.PeriodNS/u.ns)
			}
		}
		return fmt.Sprintf("interval:ns:%d", p.PeriodNS)
	case Tracepoint:
		return fmt.Sprintf("tracepoint:%s:%s", p.Category, p.Event)
	case RawTracepoint:
		return "rawtracepoint:" + p.Event
	}
	if p.Symbol == "" {
		return fmt.Sprintf("%s:%s:%#x", p.Kind, p.Path, p.Addr)
	}
	return fmt.Sprintf("%s:%s:%s", p.Kind, p.Path, p.Symbol)
}

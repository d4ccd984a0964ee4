package kernel

// Defines the debug information that goes with a program: BTF with its
// functions, and the records that tie instructions to functions and lines
// (include/uapi/linux/bpf.h: struct bpf_func_info, bpf_line_info).

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
)

const (
	funcRecord = 8  // instruction, type
	lineRecord = 16 // instruction, file name, line's text, line<<10 | column
	maxColumn  = 1<<10 - 1
	maxLine    = 1<<22 - 1
	maxText    = 256 // bytes of a source line that are worth showing
)

type info struct {
	handle       *btf.Handle
	funcs, lines []byte
}

// Close releases the kernel's copy, which loaded programs keep for themselves.
func (i *info) Close() { i.handle.Close() }

func (i *info) put(a *loadAttr) {
	a.btfFD = uint32(i.handle.FD())
	a.funcRecSize, a.funcInfo, a.funcCnt = funcRecord, ptr(i.funcs), uint32(len(i.funcs)/funcRecord)
	if len(i.lines) > 0 {
		a.lineRecSize, a.lineInfo, a.lineCnt = lineRecord, ptr(i.lines), uint32(len(i.lines)/lineRecord)
	}
}

var errNoInfo = errors.New("the program has no BTF")

// debugInfo loads img's BTF into the kernel.
func debugInfo(img *image.Image) (*info, error) {
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, err
	}
	out := &info{}
	ne := binary.NativeEndian
	for _, s := range img.Subprogs {
		if s.BTF == nil {
			return nil, errNoInfo
		}
		id, err := b.Add(s.BTF)
		if err != nil {
			return nil, err
		}
		out.funcs = ne.AppendUint32(out.funcs, uint32(s.Start))
		out.funcs = ne.AppendUint32(out.funcs, uint32(id))
	}
	blob, err := b.Marshal(nil, btf.KernelMarshalOptions())
	if err != nil {
		return nil, err
	}
	t, err := openStrings(blob)
	if err != nil {
		return nil, err
	}
	out.lines = lineInfo(img, t)
	out.handle, err = btf.NewHandleFromRawBTF(t.blob)
	return out, err
}

// lineInfo makes the line records; none at all where the kernel would not
// take them: each subprogram must begin with one, and they must ascend.
func lineInfo(img *image.Image, t *stringTable) []byte {
	ne := binary.NativeEndian
	var out []byte
	add := func(at int, l object.Line) {
		out = ne.AppendUint32(out, uint32(at))
		out = ne.AppendUint32(out, t.add(l.File))
		out = ne.AppendUint32(out, t.add(l.Text[:min(len(l.Text), maxText)]))
		out = ne.AppendUint32(out, uint32(min(max(l.Line, 0), maxLine))<<10|uint32(min(max(l.Col, 0), maxColumn)))
	}
	sub, last := 0, -1
	for _, l := range img.Lines {
		if l.Insn <= last || l.Insn >= len(img.Insns) || img.Insns[l.Insn].Op == 0 {
			continue
		}
		for sub < len(img.Subprogs) && img.Subprogs[sub].Start <= l.Insn {
			if start := img.Subprogs[sub].Start; start < l.Insn && start > last {
				add(start, l)
			}
			sub++
		}
		add(l.Insn, l)
		last = l.Insn
	}
	if sub < len(img.Subprogs) {
		return nil
	}
	return out
}

// stringTable appends to the string section of BTF, which must be its last.
type stringTable struct {
	blob []byte
	at   map[string]uint32
	len  uint32
}

// btfHeader is the size of struct btf_header up to str_len (include/uapi/linux/btf.h).
const btfHeader = 24

func openStrings(blob []byte) (*stringTable, error) {
	if len(blob) < btfHeader {
		return nil, fmt.Errorf("BTF of %d bytes", len(blob))
	}
	ne := binary.NativeEndian
	hdr, off, n := ne.Uint32(blob[4:]), ne.Uint32(blob[16:]), ne.Uint32(blob[20:])
	if uint64(hdr)+uint64(off)+uint64(n) != uint64(len(blob)) {
		return nil, errors.New("BTF does not end with its strings")
	}
	return &stringTable{blob: blob, at: map[string]uint32{"": 0}, len: n}, nil
}

func (t *stringTable) add(s string) uint32 {
	if off, ok := t.at[s]; ok {
		return off
	}
	off := t.len
	t.at[s] = off
	t.blob = append(append(t.blob, s...), 0)
	t.len += uint32(len(s)) + 1
	binary.NativeEndian.PutUint32(t.blob[20:], t.len)
	return off
}

package usertype

// cfi.go computes the canonical frame address at a pc from .eh_frame or .debug_frame (DWARF 5 §6.4).

import (
	"debug/elf"
	"fmt"
)

// cfaRule says that the CFA is reg+off.
type cfaRule struct {
	reg int
	off int64
	why string // not empty: why there is no such rule
	// most is the largest off that the function has for the same reg: there the frame is all set up.
	most int64
}

// Call frame instructions.
const (
	cfaAdvanceLoc       = 0x40 // high two bits
	cfaOffset           = 0x80
	cfaRestore          = 0xc0
	cfaNop              = 0x00
	cfaSetLoc           = 0x01
	cfaAdvanceLoc1      = 0x02
	cfaAdvanceLoc2      = 0x03
	cfaAdvanceLoc4      = 0x04
	cfaOffsetExtended   = 0x05
	cfaRestoreExtended  = 0x06
	cfaUndefined        = 0x07
	cfaSameValue        = 0x08
	cfaRegister         = 0x09
	cfaRememberState    = 0x0a
	cfaRestoreState     = 0x0b
	cfaDefCFA           = 0x0c
	cfaDefCFARegister   = 0x0d
	cfaDefCFAOffset     = 0x0e
	cfaDefCFAExpression = 0x0f
	cfaExpression       = 0x10
	cfaOffsetExtendedSf = 0x11
	cfaDefCFASf         = 0x12
	cfaDefCFAOffsetSf   = 0x13
	cfaValOffset        = 0x14
	cfaValOffsetSf      = 0x15
	cfaValExpression    = 0x16
	cfaGNUWindowSave    = 0x2d // AArch64: negate return address state
	cfaGNUArgsSize      = 0x2e
)

// Pointer encodings of .eh_frame (LSB Core, "DWARF Extensions").
const (
	ehAbsptr, ehUdata2, ehUdata4, ehUdata8 = 0x00, 0x02, 0x03, 0x04
	ehSdata2, ehSdata4, ehSdata8           = 0x0a, 0x0b, 0x0c
	ehPcrel                                = 0x10
	ehOmit                                 = 0xff
)

// cie is a common information entry.
type cie struct {
	codeAlign uint64
	dataAlign int64
	encoding  uint8
	augmented bool
	init      []byte
}

// cfaAt finds the rule for the CFA at pc.
func (b *Binary) cfaAt(pc uint64) cfaRule {
	if h := b.main.header(".eh_frame"); h != nil && h.Flags&elf.SHF_COMPRESSED == 0 {
		if r, ok := frameRule(b.main.bytes(h), ".eh_frame", h.Addr, true, pc); ok {
			return r
		}
	}
	for _, e := range []*elfFile{b.main, b.debug} {
		if e == nil {
			continue
		}
		if s := e.section(".debug_frame"); s != nil {
			if r, ok := frameRule(s.all(), ".debug_frame", 0, false, pc); ok {
				return r
			}
		}
	}
	return cfaRule{why: fmt.Sprintf("no call frame information at %#x", pc)}
}

// frameRule looks for the entry that covers pc and runs it.
func frameRule(d []byte, what string, base uint64, eh bool, pc uint64) (cfaRule, bool) {
	cies := map[int]*cie{}
	c := cursor{d: d, what: what}
	for c.left() > 4 {
		start := c.p
		n, dwarf64 := c.initialLength()
		if n == 0 && eh {
			return cfaRule{}, false
		}
		idAt := c.p
		if n > uint64(c.left()) {
			bad("%s ends early at %#x", what, start)
		}
		end := c.p + int(n)
		idSize := 4
		if dwarf64 {
			idSize = 8
		}
		id := c.uint(idSize)
		if isCIE(id, eh, dwarf64) {
			c.p = end
			continue
		}
		at := int(id)
		if eh {
			at = idAt - int(id)
		}
		k := cies[at]
		if k == nil {
			k = readCIE(d, what, at, eh)
			cies[at] = k
		}
		entry := cursor{d: d[:end], p: c.p, what: what}
		low := entry.encoded(k.encoding, base)
		size := entry.encoded(k.encoding&0x0f, base)
		if pc >= low && pc-low < size {
			if k.augmented {
				entry.skip(entry.uleb())
			}
			return k.run(low, pc, what, d[entry.p:end], base), true
		}
		c.p = end
	}
	return cfaRule{}, false
}

func isCIE(id uint64, eh, dwarf64 bool) bool {
	if eh {
		return id == 0
	}
	return id == 0xffffffff && !dwarf64 || id == ^uint64(0)
}

// encoded reads a pointer of .eh_frame.
func (c *cursor) encoded(enc uint8, base uint64) uint64 {
	at := base + uint64(c.p)
	var v uint64
	switch enc & 0x0f {
	case ehAbsptr, ehUdata8, ehSdata8:
		v = c.u64()
	case ehUdata4:
		v = uint64(c.u32())
	case ehSdata4:
		v = uint64(int64(int32(c.u32())))
	case ehUdata2:
		v = uint64(c.u16())
	case ehSdata2:
		v = uint64(int64(int16(c.u16())))
	default:
		bad("%s has a pointer encoding %#x", c.what, enc)
	}
	switch enc & 0x70 {
	case 0:
	case ehPcrel:
		v += at
	default:
		bad("%s has a pointer encoding %#x", c.what, enc)
	}
	return v
}

func readCIE(d []byte, what string, at int, eh bool) *cie {
	c := cursor{d: d, what: what}
	if at < 0 || at > len(d) {
		bad("%s points outside of itself", what)
	}
	c.p = at
	n, dwarf64 := c.initialLength()
	if n > uint64(c.left()) {
		bad("%s ends early at %#x", what, at)
	}
	end := c.p + int(n)
	c.d = d[:end]
	idSize := 4
	if dwarf64 {
		idSize = 8
	}
	if !isCIE(c.uint(idSize), eh, dwarf64) {
		bad("%s has an entry at %#x that is not a CIE", what, at)
	}
	version := c.u8()
	aug := string(c.cstr())
	if version >= 4 {
		c.u8()
		c.u8()
	}
	k := &cie{codeAlign: c.uleb(), dataAlign: c.sleb()}
	if version == 1 {
		c.u8()
	} else {
		c.uleb()
	}
	if len(aug) > 0 {
		k.augment(&c, aug)
	}
	k.init = d[c.p:end]
	return k
}

func (k *cie) augment(c *cursor, aug string) {
	if aug[0] != 'z' {
		bad("%s has the augmentation %q", c.what, aug)
	}
	k.augmented = true
	n := c.uleb()
	next := c.p
	c.skip(n)
	next, c.p = c.p, next
	for _, a := range aug[1:] {
		switch a {
		case 'R':
			k.encoding = c.u8()
		case 'P':
			if enc := c.u8(); enc != ehOmit {
				c.encoded(enc&0x0f, 0)
			}
		case 'L':
			c.u8()
		}
	}
	c.p = next
}

// run executes call frame instructions up to pc.
func (k *cie) run(low, pc uint64, what string, prog []byte, base uint64) cfaRule {
	r := cfaRule{why: "no rule for the frame address"}
	loc := low
	var stack []cfaRule
	most := map[int]int64{}
	at, found := r, false
	for i, code := range [][]byte{k.init, prog} {
		c := cursor{d: code, what: what}
		for c.left() > 0 {
			next := k.step(&c, &r, &stack, loc, base)
			if i == 1 && next > pc && !found {
				at, found = r, true
			}
			if r.why == "" {
				most[r.reg] = max(most[r.reg], r.off)
			}
			loc = next
		}
	}
	if !found {
		at = r
	}
	at.most = most[at.reg]
	return at
}

// step executes one instruction and returns the location behind it.
func (k *cie) step(c *cursor, r *cfaRule, stack *[]cfaRule, loc, base uint64) uint64 {
	op := c.u8()
	switch op & 0xc0 {
	case cfaAdvanceLoc:
		return loc + uint64(op&0x3f)*k.codeAlign
	case cfaOffset:
		c.uleb()
		return loc
	case cfaRestore:
		return loc
	}
	switch op {
	case cfaNop, cfaGNUWindowSave:
	case cfaSetLoc:
		return c.encoded(k.encoding, base)
	case cfaAdvanceLoc1:
		return loc + uint64(c.u8())*k.codeAlign
	case cfaAdvanceLoc2:
		return loc + uint64(c.u16())*k.codeAlign
	case cfaAdvanceLoc4:
		return loc + uint64(c.u32())*k.codeAlign
	case cfaDefCFA:
		*r = cfaRule{reg: int(c.uleb()), off: int64(c.uleb())}
	case cfaDefCFASf:
		*r = cfaRule{reg: int(c.uleb()), off: c.sleb() * k.dataAlign}
	case cfaDefCFARegister:
		r.reg = int(c.uleb())
	case cfaDefCFAOffset:
		r.off = int64(c.uleb())
	case cfaDefCFAOffsetSf:
		r.off = c.sleb() * k.dataAlign
	case cfaDefCFAExpression:
		c.skip(c.uleb())
		*r = cfaRule{why: "the frame address is computed (DW_CFA_def_cfa_expression)"}
	case cfaRememberState:
		*stack = append(*stack, *r)
	case cfaRestoreState:
		if n := len(*stack); n > 0 {
			*r = (*stack)[n-1]
			*stack = (*stack)[:n-1]
		}
	default:
		skipCFA(c, op)
	}
	return loc
}

// skipCFA skips an instruction that tells of a saved register.
func skipCFA(c *cursor, op uint8) {
	switch op {
	case cfaRestoreExtended, cfaUndefined, cfaSameValue, cfaGNUArgsSize:
		c.uleb()
	case cfaOffsetExtended, cfaRegister, cfaValOffset, cfaOffsetExtendedSf, cfaValOffsetSf:
		c.uleb()
		c.uleb()
	case cfaExpression, cfaValExpression:
		c.uleb()
		c.skip(c.uleb())
	default:
		bad("%s has an unknown instruction %#x", c.what, op)
	}
}

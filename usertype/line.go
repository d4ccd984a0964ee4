package usertype

// line.go finds the end of a function's prologue in .debug_line (DWARF 5 §6.2).

// lineState is the state machine's row.
type lineState struct {
	addr        uint64
	line        int64
	stmt        bool
	prologueEnd bool
	op          uint64
}

type lineHeader struct {
	minInst, maxOps       uint64
	defaultStmt           bool
	base                  int64
	lineRange, opcodeBase uint8
	lengths               []byte
	version, offLen       int
}

// prologueEnd is the address behind the prologue of the function in [low, high):
// the row that says so, else the second row that begins a statement at another
// address. ok is false if the line table does not tell.
func (u *unit) prologueEnd(low, high uint64) (addr uint64, ok bool) {
	u.open()
	if !u.hasLine || u.dw.line == nil {
		return 0, false
	}
	c := cursor{d: u.dw.line.upto(u.lineOff + 4096), what: ".debug_line"}
	c.seek(u.lineOff)
	n, dwarf64 := c.initialLength()
	body := uint64(c.p)
	if n > u.dw.line.size-body {
		bad(".debug_line ends early")
	}
	c.d = u.dw.line.upto(body + n)[:body+n]
	h := readLineHeader(&c, dwarf64)
	var second uint64
	h.rows(&c, func(r lineState) bool {
		if r.addr < low || r.addr >= high || !r.stmt {
			return true
		}
		if r.prologueEnd {
			addr, ok = r.addr, true
			return false
		}
		if r.addr > low && (second == 0 || r.addr < second) {
			second = r.addr
		}
		return true
	})
	if ok {
		return addr, true
	}
	return second, second != 0
}

func readLineHeader(c *cursor, dwarf64 bool) lineHeader {
	h := lineHeader{offLen: 4, maxOps: 1}
	if dwarf64 {
		h.offLen = 8
	}
	h.version = int(c.u16())
	if h.version < 2 || h.version > 5 {
		panic(unsupported(".debug_line version " + itoa(h.version)))
	}
	if h.version == 5 {
		c.u8()
		c.u8()
	}
	n := c.uint(h.offLen)
	start := uint64(c.p)
	h.minInst = uint64(c.u8())
	if h.version >= 4 {
		h.maxOps = uint64(c.u8())
	}
	h.defaultStmt = c.u8() != 0
	h.base = int64(int8(c.u8()))
	h.lineRange, h.opcodeBase = c.u8(), c.u8()
	if h.lineRange == 0 || h.opcodeBase == 0 {
		bad(".debug_line has a wrong header")
	}
	h.lengths = c.bytes(uint64(h.opcodeBase - 1))
	c.seek(start)
	c.skip(n)
	return h
}

// rows runs the line program and calls f for each row until it returns false.
func (h *lineHeader) rows(c *cursor, f func(lineState) bool) {
	s := lineState{line: 1, stmt: h.defaultStmt}
	for c.left() > 0 {
		op := c.u8()
		if op >= h.opcodeBase {
			adj := uint64(op - h.opcodeBase)
			h.advance(&s, adj/uint64(h.lineRange))
			s.line += h.base + int64(adj%uint64(h.lineRange))
			if !f(s) {
				return
			}
			s.prologueEnd = false
			continue
		}
		switch op {
		case 0:
			if h.extended(c, &s) {
				s = lineState{line: 1, stmt: h.defaultStmt}
			}
		case 1: // DW_LNS_copy
			if !f(s) {
				return
			}
			s.prologueEnd = false
		case 2: // advance_pc
			h.advance(&s, c.uleb())
		case 3: // advance_line
			s.line += c.sleb()
		case 6: // negate_stmt
			s.stmt = !s.stmt
		case 8: // const_add_pc
			h.advance(&s, uint64(255-h.opcodeBase)/uint64(h.lineRange))
		case 9: // fixed_advance_pc
			s.addr += uint64(c.u16())
			s.op = 0
		case 10: // set_prologue_end
			s.prologueEnd = true
		default: // what does not concern us, by its number of operands
			for range h.lengths[op-1] {
				c.uleb()
			}
		}
	}
}

// extended executes an extended instruction; true at the end of a sequence.
func (h *lineHeader) extended(c *cursor, s *lineState) bool {
	n := c.uleb()
	at := uint64(c.p)
	c.skip(n)
	if n == 0 {
		return false
	}
	e := cursor{d: c.d[at : at+n], what: c.what}
	switch e.u8() {
	case 1: // DW_LNE_end_sequence
		return true
	case 2: // set_address
		s.addr, s.op = e.u64(), 0
	}
	return false
}

func (h *lineHeader) advance(s *lineState, ops uint64) {
	if h.maxOps <= 1 {
		s.addr += ops * h.minInst
		return
	}
	s.addr += h.minInst * ((s.op + ops) / h.maxOps)
	s.op = (s.op + ops) % h.maxOps
}

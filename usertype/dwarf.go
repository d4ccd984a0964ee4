package usertype

// dwarf.go defines dwarf, the units of .debug_info and their abbreviations,
// read no further than a query needs.

import (
	"slices"
	"sort"
)

// Unit types of DWARF 5.
const (
	utCompile      = 1
	utType         = 2
	utPartial      = 3
	utSkeleton     = 4
	utSplitCompile = 5
	utSplitType    = 6
)

const (
	maxUnits   = 4 << 20
	maxAbbrevs = 1 << 22
)

// dwarf is the DWARF of one file.
type dwarf struct {
	file                                        *elfFile
	info, abbrev, str, lineStr, strOff, addr    *section
	loc, loclists, ranges, rnglists, line, rang *section

	units   []*unit // by offset, as far as walked
	walked  uint64  // offset behind the last of units
	abbrevs map[uint64]*abbrevTable
	sigs    map[uint64]uint64 // type signature → DIE offset; nil until needed
	arange  []arange
	aranged bool
	covered map[uint64]bool // units that .debug_aranges speaks for
}

// unit is a unit of .debug_info.
type unit struct {
	dw       *dwarf
	off, end uint64 // of the header; behind the last DIE
	first    uint64 // offset of the unit's DIE
	version  int
	typ      int
	addrSize int
	offSize  int
	abbOff   uint64
	table    *abbrevTable

	// From the unit's DIE.
	opened                             bool
	strBase, addrBase, locBase, rngBas uint64
	low                                uint64
	lang                               uint64
	lineOff                            uint64
	hasLine                            bool
}

// abbrev is an entry's shape.
type abbrev struct {
	tag      uint32
	children bool
	sibling  int // index of DW_AT_sibling among attrs, or -1
	fixed    int // bytes of all attributes where that is constant, or -1
	attrs    []abbrevAttr
}

type abbrevAttr struct {
	at, form uint32
	implicit int64
}

type abbrevTable struct {
	dense  []abbrev // codes 1…n
	sparse map[uint64]*abbrev
}

func (t *abbrevTable) find(code uint64) *abbrev {
	if code-1 < uint64(len(t.dense)) {
		return &t.dense[code-1]
	}
	a := t.sparse[code]
	if a == nil {
		bad(".debug_info uses the abbreviation %d that is not defined", code)
	}
	return a
}

// dwarfData returns the DWARF of the binary; an error of type *NoDebugInfo if there is none.
func (b *Binary) dwarfData() (*dwarf, error) {
	if b.dw != nil {
		return b.dw, nil
	}
	e, err := b.debugFile()
	if err != nil {
		return nil, err
	}
	if e == nil || e.section(".debug_info") == nil || e.section(".debug_abbrev") == nil {
		return nil, &NoDebugInfo{Path: b.Path, BuildID: b.BuildID, Why: b.debugWhy}
	}
	s := e.section
	b.dw = &dwarf{
		file: e, info: s(".debug_info"), abbrev: s(".debug_abbrev"), str: s(".debug_str"), lineStr: s(".debug_line_str"),
		strOff: s(".debug_str_offsets"), addr: s(".debug_addr"), loc: s(".debug_loc"), loclists: s(".debug_loclists"),
		ranges: s(".debug_ranges"), rnglists: s(".debug_rnglists"), line: s(".debug_line"), rang: s(".debug_aranges"),
		abbrevs: map[uint64]*abbrevTable{},
	}
	return b.dw, nil
}

// nextUnit reads the header behind the units that are known; nil at the end.
func (dw *dwarf) nextUnit() *unit {
	if dw.walked >= dw.info.size {
		return nil
	}
	if len(dw.units) >= maxUnits {
		bad(".debug_info has more than %d units", maxUnits)
	}
	c := cursor{d: dw.info.upto(dw.walked + 64), what: ".debug_info"}
	c.seek(dw.walked)
	u := &unit{dw: dw, off: dw.walked, offSize: 4, typ: utCompile}
	n, dwarf64 := c.initialLength()
	if dwarf64 {
		u.offSize = 8
	}
	if n > dw.info.size-uint64(c.p) {
		bad("the unit at %#x is longer than .debug_info", u.off)
	}
	u.end = uint64(c.p) + n
	u.version = int(c.u16())
	switch {
	case u.version >= 2 && u.version <= 4:
		u.abbOff = c.uint(u.offSize)
		u.addrSize = int(c.u8())
	case u.version == 5:
		u.typ = int(c.u8())
		u.addrSize = int(c.u8())
		u.abbOff = c.uint(u.offSize)
		u.typeHeader(&c)
	default:
		panic(unsupported("DWARF version " + itoa(u.version)))
	}
	if u.addrSize != 8 {
		bad("the unit at %#x has addresses of %d bytes", u.off, u.addrSize)
	}
	u.first = uint64(c.p)
	if u.first > u.end {
		bad("the unit at %#x is shorter than its header", u.off)
	}
	dw.units = append(dw.units, u)
	dw.walked = u.end
	return u
}

func (u *unit) typeHeader(c *cursor) {
	switch u.typ {
	case utSkeleton, utSplitCompile:
		c.u64()
	case utType, utSplitType:
		sig, at := c.u64(), c.uint(u.offSize)
		if u.dw.sigs == nil {
			u.dw.sigs = map[uint64]uint64{}
		}
		u.dw.sigs[sig] = u.off + at
	}
}

// unitAt finds the unit that holds the offset off.
func (dw *dwarf) unitAt(off uint64) *unit {
	for dw.walked <= off {
		if dw.nextUnit() == nil {
			bad("there is no unit at %#x in .debug_info", off)
		}
	}
	i := sort.Search(len(dw.units), func(i int) bool { return dw.units[i].end > off })
	return dw.units[i]
}

// eachUnit calls f for every unit until it returns false.
func (dw *dwarf) eachUnit(f func(*unit) bool) {
	for i := 0; ; i++ {
		if i == len(dw.units) && dw.nextUnit() == nil {
			return
		}
		if !f(dw.units[i]) {
			return
		}
	}
}

// bySignature finds the type of a type unit.
func (dw *dwarf) bySignature(sig uint64) uint64 {
	if off, ok := dw.sigs[sig]; ok {
		return off
	}
	for dw.nextUnit() != nil {
	}
	off, ok := dw.sigs[sig]
	if !ok {
		panic(unsupported("type units outside of .debug_info (.debug_types or split DWARF)"))
	}
	return off
}

func (dw *dwarf) table(off uint64) *abbrevTable {
	if t := dw.abbrevs[off]; t != nil {
		return t
	}
	c := cursor{d: dw.abbrev.all(), what: ".debug_abbrev"}
	c.seek(off)
	t := &abbrevTable{}
	for n := 0; ; n++ {
		if n > maxAbbrevs {
			bad(".debug_abbrev has too many entries at %#x", off)
		}
		code := c.uleb()
		if code == 0 {
			break
		}
		a := readAbbrev(&c)
		if code == uint64(len(t.dense)+1) {
			t.dense = append(t.dense, a)
			continue
		}
		if t.sparse == nil {
			t.sparse = map[uint64]*abbrev{}
		}
		t.sparse[code] = &a
	}
	dw.abbrevs[off] = t
	return t
}

func readAbbrev(c *cursor) abbrev {
	a := abbrev{tag: uint32(c.uleb()), children: c.u8() != 0, sibling: -1}
	start, n := c.p, 0
	for ; ; n++ { // count first: one allocation
		at, form := c.uleb(), c.uleb()
		if form == formImplicitConst {
			c.sleb()
		}
		if at == 0 && form == 0 {
			break
		}
	}
	a.attrs = make([]abbrevAttr, n)
	c.p = start
	for i := range a.attrs {
		a.attrs[i].at, a.attrs[i].form = uint32(c.uleb()), uint32(c.uleb())
		if a.attrs[i].form == formImplicitConst {
			a.attrs[i].implicit = c.sleb()
		}
		if a.attrs[i].at == atSibling {
			a.sibling = i
		}
		size := fixedSize(a.attrs[i].form)
		if size < 0 || a.fixed < 0 {
			a.fixed = -1
		} else {
			a.fixed += size
		}
	}
	c.uleb()
	c.uleb()
	return a
}

// open reads what the unit's DIE says about the whole unit.
func (u *unit) open() {
	if u.opened {
		return
	}
	u.dw.info.upto(u.end)
	u.table = u.dw.table(u.abbOff)
	u.opened = true
	d, ok := u.root()
	if !ok {
		return
	}
	u.strBase, u.addrBase = u.defaultBase(), u.defaultBase()
	for _, a := range d.attrsOf(atStrOffsetsBase, atAddrBase, atGNUAddrBase, atLoclistsBase, atRnglistsBase, atLanguage, atStmtList) {
		switch a.at {
		case atStrOffsetsBase:
			u.strBase = a.u
		case atAddrBase, atGNUAddrBase:
			u.addrBase = a.u
		case atLoclistsBase:
			u.locBase = a.u
		case atRnglistsBase:
			u.rngBas = a.u
		case atLanguage:
			u.lang = a.u
		case atStmtList:
			u.lineOff, u.hasLine = a.u, true
		}
	}
	if v, ok := d.attr(atLowPC); ok {
		u.low = v.address()
	}
}

// defaultBase is the size of the header that .debug_str_offsets and .debug_addr begin with.
func (u *unit) defaultBase() uint64 {
	if u.version < 5 {
		return 0
	}
	return uint64(4*(u.offSize/4) + (u.offSize - 4) + 4)
}

// split is the name of the .dwo file that holds the unit's entries, "" if they are here.
func (u *unit) split() string {
	u.open()
	d, ok := u.root()
	if !ok {
		return ""
	}
	for _, at := range []uint32{atDwoName, atGNUDwoName} {
		if v, ok := d.attr(at); ok {
			return v.str()
		}
	}
	return ""
}

// arange is a range of addresses that belongs to a unit.
type arange struct{ low, high, unit uint64 }

// readAranges reads .debug_aranges, which not every unit needs to have.
func (dw *dwarf) readAranges() {
	if dw.aranged {
		return
	}
	dw.aranged = true
	dw.covered = map[uint64]bool{}
	c := cursor{d: dw.rang.all(), what: ".debug_aranges"}
	for c.left() > 12 {
		n, dwarf64 := c.initialLength()
		if n > uint64(c.left()) {
			bad(".debug_aranges ends early")
		}
		start, next := c.p, c.p+int(n)
		size := 4
		if dwarf64 {
			size = 8
		}
		version, off := c.u16(), c.uint(size)
		addr, seg := c.u8(), c.u8()
		if version != 2 || addr != 8 || seg != 0 {
			c.seek(uint64(next))
			continue
		}
		header := start
		if dwarf64 {
			header -= 12
		} else {
			header -= 4
		}
		c.skip(uint64((16 - (c.p-header)%16) % 16))
		any := false
		for c.p+16 <= next {
			low, size := c.u64(), c.u64()
			if low == 0 && size == 0 {
				break
			}
			any = true
			dw.arange = append(dw.arange, arange{low, low + size, off})
		}
		if any {
			dw.covered[off] = true
		}
		c.seek(uint64(next))
	}
	slices.SortFunc(dw.arange, func(a, b arange) int {
		if a.low < b.low {
			return -1
		}
		if a.low > b.low {
			return 1
		}
		return 0
	})
}

// unitFor finds the unit whose code addr lies in; nil if there is none.
func (dw *dwarf) unitFor(addr uint64) *unit {
	dw.readAranges()
	i := sort.Search(len(dw.arange), func(i int) bool { return dw.arange[i].low > addr })
	for i--; i >= 0; i-- {
		if addr < dw.arange[i].high {
			return dw.unitAt(dw.arange[i].unit)
		}
		if addr-dw.arange[i].low > 1<<30 {
			break
		}
	}
	var found *unit
	dw.eachUnit(func(u *unit) bool {
		if dw.covered[u.off] || u.typ == utType {
			return true
		}
		u.open()
		if d, ok := u.root(); ok && d.contains(addr) {
			found = u
		}
		return found == nil
	})
	return found
}

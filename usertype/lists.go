package usertype

// lists.go reads address ranges and location lists of DWARF 2–4 and 5.

// Entry kinds of .debug_rnglists and .debug_loclists (DWARF 5 §7.7.3, §7.25).
const (
	rleEnd, lleEnd                   = 0, 0
	rleBaseAddressx, lleBaseAddressx = 1, 1
	rleStartxEndx, lleStartxEndx     = 2, 2
	rleStartxLength, lleStartxLength = 3, 3
	rleOffsetPair, lleOffsetPair     = 4, 4
	rleBaseAddress                   = 5
	rleStartEnd                      = 6
	rleStartLength                   = 7
	lleDefaultLocation               = 5
	lleBaseAddress                   = 6
	lleStartEnd                      = 7
	lleStartLength                   = 8
	lleViewPair                      = 9 // GNU
)

const maxRanges = 1 << 20

// contains reports whether addr lies in d's code.
func (d die) contains(addr uint64) bool {
	found := false
	d.eachRange(func(low, high uint64) bool {
		found = addr >= low && addr < high
		return !found
	})
	return found
}

// eachRange calls f for d's ranges of code until it returns false. Empty ones are left out.
func (d die) eachRange(f func(low, high uint64) bool) {
	if v, ok := d.attr(atRanges); ok {
		if d.u.version < 5 {
			d.u.oldRanges(v.uint, f)
		} else {
			d.u.newRanges(v, f)
		}
		return
	}
	lowV, ok := d.attr(atLowPC)
	if !ok {
		return
	}
	highV, ok := d.attr(atHighPC)
	if !ok {
		return
	}
	low := lowV.address()
	high := highV.uint
	if highV.constant() {
		high += low
	} else {
		high = highV.address()
	}
	if low < high {
		f(low, high)
	}
}

func (u *unit) oldRanges(off uint64, f func(low, high uint64) bool) {
	c := cursor{d: u.dw.ranges.all(), what: ".debug_ranges"}
	c.seek(off)
	base := u.low
	for range maxRanges {
		low, high := c.u64(), c.u64()
		switch {
		case low == 0 && high == 0:
			return
		case low == ^uint64(0):
			base = high
		case low < high:
			if !f(base+low, base+high) {
				return
			}
		}
	}
}

func (u *unit) newRanges(v value, f func(low, high uint64) bool) {
	c := cursor{d: u.dw.rnglists.all(), what: ".debug_rnglists"}
	c.seek(listOffset(&c, v, formRnglistx, u.rngBas))
	base := u.low
	for range maxRanges {
		var low, high uint64
		switch kind := c.u8(); kind {
		case rleEnd:
			return
		case rleBaseAddressx:
			base = u.addrIndex(c.uleb())
			continue
		case rleStartxEndx:
			low, high = u.addrIndex(c.uleb()), u.addrIndex(c.uleb())
		case rleStartxLength:
			low = u.addrIndex(c.uleb())
			high = low + c.uleb()
		case rleOffsetPair:
			low, high = base+c.uleb(), base+c.uleb()
		case rleBaseAddress:
			base = c.u64()
			continue
		case rleStartEnd:
			low, high = c.u64(), c.u64()
		case rleStartLength:
			low = c.u64()
			high = low + c.uleb()
		default:
			bad(".debug_rnglists has an entry of kind %d", kind)
		}
		if low < high && !f(low, high) {
			return
		}
	}
}

// listOffset is where a list begins, given as an offset or as an index behind base.
func listOffset(c *cursor, v value, indexForm uint32, base uint64) uint64 {
	if v.form != indexForm {
		return v.uint
	}
	if v.uint > 1<<40 {
		bad("%s: index %d is too large", c.what, v.uint)
	}
	c.seek(base + v.uint*uint64(v.u.offSize))
	return base + c.uint(v.u.offSize)
}

// expression finds the location expression of an attribute at pc. Whole says
// that it holds in all of the scope. Why says what is wrong if there is none.
func (v value) expression(pc uint64) (expr []byte, whole bool, why string) {
	if v.block != nil {
		return v.block, true, ""
	}
	var ok bool
	if v.u.version < 5 {
		expr, ok = v.u.oldLocation(v.uint, pc)
	} else {
		expr, ok = v.u.newLocation(v, pc)
	}
	if !ok {
		return nil, false, "optimized out at this address"
	}
	return expr, false, ""
}

func (u *unit) oldLocation(off, pc uint64) ([]byte, bool) {
	c := cursor{d: u.dw.loc.all(), what: ".debug_loc"}
	c.seek(off)
	base := u.low
	for range maxRanges {
		low, high := c.u64(), c.u64()
		if low == 0 && high == 0 {
			return nil, false
		}
		if low == ^uint64(0) {
			base = high
			continue
		}
		expr := c.bytes(uint64(c.u16()))
		if pc >= base+low && pc < base+high {
			return expr, true
		}
	}
	return nil, false
}

func (u *unit) newLocation(v value, pc uint64) ([]byte, bool) {
	c := cursor{what: ".debug_loclists"}
	if v.form != formLoclistx && u.dw.loclists != nil { // inflate no more than a list is likely to need
		c.d = u.dw.loclists.upto(v.uint + 1)
		expr, ok, early := u.tryLocation(c, v.uint, pc)
		if !early {
			return expr, ok
		}
	}
	c.d = u.dw.loclists.all()
	expr, ok, early := u.tryLocation(c, listOffset(&c, v, formLoclistx, u.locBase), pc)
	if early {
		bad(".debug_loclists ends early")
	}
	return expr, ok
}

// tryLocation reads a list; early says that it goes on behind the bytes of c.
func (u *unit) tryLocation(c cursor, off, pc uint64) (expr []byte, ok, early bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(malformed); !is {
				panic(r)
			}
			early = true
		}
	}()
	c.seek(off)
	expr, ok = u.locationList(&c, pc)
	return expr, ok, false
}

func (u *unit) locationList(c *cursor, pc uint64) (expr []byte, ok bool) {
	base := u.low
	var fallback []byte
	for range maxRanges {
		var low, high uint64
		switch kind := c.u8(); kind {
		case lleEnd:
			return fallback, fallback != nil
		case lleBaseAddressx:
			base = u.addrIndex(c.uleb())
			continue
		case lleStartxEndx:
			low, high = u.addrIndex(c.uleb()), u.addrIndex(c.uleb())
		case lleStartxLength:
			low = u.addrIndex(c.uleb())
			high = low + c.uleb()
		case lleOffsetPair:
			low, high = base+c.uleb(), base+c.uleb()
		case lleDefaultLocation:
			fallback = c.bytes(c.uleb())
			continue
		case lleBaseAddress:
			base = c.u64()
			continue
		case lleStartEnd:
			low, high = c.u64(), c.u64()
		case lleStartLength:
			low = c.u64()
			high = low + c.uleb()
		case lleViewPair:
			c.uleb()
			c.uleb()
			continue
		default:
			bad(".debug_loclists has an entry of kind %d", kind)
		}
		expr = c.bytes(c.uleb())
		if pc >= low && pc < high {
			return expr, true
		}
	}
	return nil, false
}

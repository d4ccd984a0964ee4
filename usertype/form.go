package usertype

// form.go decodes the values of attributes.

func (u *unit) skipForm(c *cursor, form uint32) {
	if n := fixedSize(form); n >= 0 && u.offSize == 4 && u.version > 2 {
		c.skip(uint64(n))
		return
	}
	switch form {
	case formString:
		c.cstr()
	case formUdata, formRefUdata, formStrx, formAddrx, formLoclistx, formRnglistx, formGNUAddrIndex, formGNUStrIndex, formSdata:
		c.uleb()
	case formBlock1:
		c.skip(uint64(c.u8()))
	case formBlock2:
		c.skip(uint64(c.u16()))
	case formBlock4:
		c.skip(uint64(c.u32()))
	case formBlock, formExprloc:
		c.skip(c.uleb())
	default:
		u.read(c, &abbrevAttr{form: form})
	}
}

// read decodes a value.
func (u *unit) read(c *cursor, a *abbrevAttr) value {
	v := value{u: u, at: a.at, form: a.form, off: c.p}
	if v.form == formIndirect {
		v.form = uint32(c.uleb())
		if v.form == formIndirect || v.form == formImplicitConst {
			bad("an indirect form at %#x leads nowhere", c.p)
		}
	}
	switch v.form {
	case formAddr, formData8, formRef8, formRefSig8, formRefSup8:
		v.uint = c.u64()
	case formBlock1:
		v.block = c.bytes(uint64(c.u8()))
	case formBlock2:
		v.block = c.bytes(uint64(c.u16()))
	case formBlock4:
		v.block = c.bytes(uint64(c.u32()))
	case formBlock, formExprloc:
		v.block = c.bytes(c.uleb())
	case formData16:
		v.block = c.bytes(16)
	case formData1, formRef1, formFlag, formStrx1, formAddrx1:
		v.uint = uint64(c.u8())
	case formData2, formRef2, formStrx2, formAddrx2:
		v.uint = uint64(c.u16())
	case formStrx3, formAddrx3:
		v.uint = uint64(c.u24())
	case formData4, formRef4, formStrx4, formAddrx4, formRefSup4:
		v.uint = uint64(c.u32())
	case formSdata:
		v.uint = uint64(c.sleb())
	case formUdata, formRefUdata, formStrx, formAddrx, formLoclistx, formRnglistx, formGNUAddrIndex, formGNUStrIndex:
		v.uint = c.uleb()
	case formString:
		v.block = c.cstr()
	case formStrp, formSecOffset, formLineStrp, formStrpSup, formGNURefAlt, formGNUStrpAlt:
		v.uint = c.uint(u.offSize)
	case formRefAddr:
		if u.version == 2 {
			v.uint = c.uint(u.addrSize)
		} else {
			v.uint = c.uint(u.offSize)
		}
	case formFlagPresent:
		v.uint = 1
	case formImplicitConst:
		v.uint = uint64(a.implicit)
	default:
		bad("unknown attribute form %#x at %#x", v.form, v.off)
	}
	if v.block == nil && (v.form == formExprloc || v.form == formString) {
		v.block = []byte{}
	}
	return v
}

// ref is the offset in .debug_info that a reference leads to.
func (v value) ref() uint64 {
	switch v.form {
	case formRef1, formRef2, formRef4, formRef8, formRefUdata:
		if v.uint >= v.u.end-v.u.off && v.at != atSibling {
			bad("a reference at %#x leaves its unit", v.off)
		}
		return v.u.off + v.uint
	case formRefAddr:
		return v.uint
	case formRefSig8:
		return v.u.dw.bySignature(v.uint)
	case formGNURefAlt, formRefSup4, formRefSup8:
		panic(unsupported("DWARF in a supplementary file (dwz, .gnu_debugaltlink)"))
	}
	bad("the reference at %#x has form %#x", v.off, v.form)
	return 0
}

// str is the value of a string attribute.
func (v value) str() string { return string(v.bytes()) }

// bytes is the value of a string attribute, not to be kept.
func (v value) bytes() []byte {
	dw := v.u.dw
	switch v.form {
	case formString:
		return v.block
	case formStrp:
		return dw.str.cstr(v.uint)
	case formLineStrp:
		return dw.lineStr.cstr(v.uint)
	case formStrx, formStrx1, formStrx2, formStrx3, formStrx4, formGNUStrIndex:
		c := cursor{d: dw.strOff.all(), what: ".debug_str_offsets"}
		at := v.u.strBase + v.uint*uint64(v.u.offSize)
		if v.uint > 1<<40 {
			bad("a string index at %#x is too large", v.off)
		}
		c.seek(at)
		return dw.str.cstr(c.uint(v.u.offSize))
	case formGNUStrpAlt, formStrpSup:
		panic(unsupported("DWARF in a supplementary file (dwz, .gnu_debugaltlink)"))
	}
	bad("the string at %#x has form %#x", v.off, v.form)
	return nil
}

// cstr reads a NUL-terminated string of a string section.
func (s *section) cstr(off uint64) []byte {
	if s == nil || off >= s.size {
		bad("a string is outside of its section (%#x)", off)
	}
	for n := uint64(256); ; n *= 4 {
		d := s.upto(off + n)
		end := min(off+n, uint64(len(d)))
		for i := off; i < end; i++ {
			if d[i] == 0 {
				return d[off:i]
			}
		}
		if end == s.size || end == uint64(len(d)) && s.stream == nil {
			bad("%s has a string without an end at %#x", s.name, off)
		}
	}
}

// address is the value of an address attribute.
func (v value) address() uint64 {
	switch v.form {
	case formAddr:
		return v.uint
	case formAddrx, formAddrx1, formAddrx2, formAddrx3, formAddrx4, formGNUAddrIndex:
		return v.u.addrIndex(v.uint)
	}
	bad("the address at %#x has form %#x", v.off, v.form)
	return 0
}

// addrIndex reads an address of .debug_addr.
func (u *unit) addrIndex(i uint64) uint64 {
	c := cursor{d: u.dw.addr.all(), what: ".debug_addr"}
	if i > 1<<40 {
		bad("address index %d is too large", i)
	}
	c.seek(u.addrBase + i*8)
	return c.u64()
}

// constant reports whether v is a number, and not a reference to a list.
func (v value) constant() bool {
	switch v.form {
	case formData1, formData2, formData4, formData8, formSdata, formUdata, formImplicitConst:
		return true
	}
	return false
}

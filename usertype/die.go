package usertype

// die.go defines die, one entry of .debug_info, its attributes and its children.

import "strconv"

func itoa(n int) string { return strconv.Itoa(n) }

// Attribute forms of DWARF 5 §7.5.6 and the GNU extensions.
const (
	formAddr          = 0x01
	formBlock2        = 0x03
	formBlock4        = 0x04
	formData2         = 0x05
	formData4         = 0x06
	formData8         = 0x07
	formString        = 0x08
	formBlock         = 0x09
	formBlock1        = 0x0a
	formData1         = 0x0b
	formFlag          = 0x0c
	formSdata         = 0x0d
	formStrp          = 0x0e
	formUdata         = 0x0f
	formRefAddr       = 0x10
	formRef1          = 0x11
	formRef2          = 0x12
	formRef4          = 0x13
	formRef8          = 0x14
	formRefUdata      = 0x15
	formIndirect      = 0x16
	formSecOffset     = 0x17
	formExprloc       = 0x18
	formFlagPresent   = 0x19
	formStrx          = 0x1a
	formAddrx         = 0x1b
	formRefSup4       = 0x1c
	formStrpSup       = 0x1d
	formData16        = 0x1e
	formLineStrp      = 0x1f
	formRefSig8       = 0x20
	formImplicitConst = 0x21
	formLoclistx      = 0x22
	formRnglistx      = 0x23
	formRefSup8       = 0x24
	formStrx1         = 0x25
	formStrx2         = 0x26
	formStrx3         = 0x27
	formStrx4         = 0x28
	formAddrx1        = 0x29
	formAddrx2        = 0x2a
	formAddrx3        = 0x2b
	formAddrx4        = 0x2c
	formGNUAddrIndex  = 0x1f01
	formGNUStrIndex   = 0x1f02
	formGNURefAlt     = 0x1f20
	formGNUStrpAlt    = 0x1f21
)

// Attributes of DWARF 5 §7.5.4.
const (
	atSibling           = 0x01
	atLocation          = 0x02
	atName              = 0x03
	atByteSize          = 0x0b
	atBitOffset         = 0x0c
	atBitSize           = 0x0d
	atStmtList          = 0x10
	atLowPC             = 0x11
	atHighPC            = 0x12
	atLanguage          = 0x13
	atConstValue        = 0x1c
	atProducer          = 0x25
	atPrototyped        = 0x27
	atUpperBound        = 0x2f
	atAbstractOrigin    = 0x31
	atCallingConvention = 0x36
	atCount             = 0x37
	atMemberLocation    = 0x38
	atDeclaration       = 0x3c
	atEncoding          = 0x3e
	atExternal          = 0x3f
	atFrameBase         = 0x40
	atSpecification     = 0x47
	atType              = 0x49
	atVariableParameter = 0x4b
	atEntryPC           = 0x52
	atRanges            = 0x55
	atDataBitOffset     = 0x6b
	atLinkageName       = 0x6e
	atStrOffsetsBase    = 0x72
	atAddrBase          = 0x73
	atRnglistsBase      = 0x74
	atDwoName           = 0x76
	atCallAllCalls      = 0x7a
	atLoclistsBase      = 0x8c
	atGNUAllCalls       = 0x2117
	atGNUVector         = 0x2107
	atGNUDwoName        = 0x2130
	atGNURangesBase     = 0x2132
	atGNUAddrBase       = 0x2133
)

// Tags of DWARF 5 §7.5.3.
const (
	tagArray          = 0x01
	tagClass          = 0x02
	tagEnum           = 0x04
	tagParam          = 0x05
	tagLexicalBlock   = 0x0b
	tagMember         = 0x0d
	tagPointer        = 0x0f
	tagReference      = 0x10
	tagStringType     = 0x12
	tagStruct         = 0x13
	tagSubroutineType = 0x15
	tagTypedef        = 0x16
	tagUnion          = 0x17
	tagUnspecParams   = 0x18
	tagInheritance    = 0x1c
	tagModule         = 0x1e
	tagPtrToMember    = 0x1f
	tagSubrange       = 0x21
	tagBase           = 0x24
	tagConst          = 0x26
	tagEnumerator     = 0x28
	tagPacked         = 0x2d
	tagSubprogram     = 0x2e
	tagVolatile       = 0x35
	tagRestrict       = 0x37
	tagInterface      = 0x38
	tagNamespace      = 0x39
	tagUnspecified    = 0x3b
	tagRvalueRef      = 0x42
	tagTemplateAlias  = 0x43
	tagAtomic         = 0x47
	tagImmutable      = 0x4b
)

// maxDepth bounds nested scopes and chains of references.
const maxDepth = 64

// fixedSize is the size of a form in 32-bit DWARF with 8-byte addresses, or -1.
func fixedSize(form uint32) int {
	switch form {
	case formFlagPresent, formImplicitConst:
		return 0
	case formData1, formRef1, formFlag, formStrx1, formAddrx1:
		return 1
	case formData2, formRef2, formStrx2, formAddrx2:
		return 2
	case formStrx3, formAddrx3:
		return 3
	case formData4, formRef4, formStrp, formSecOffset, formLineStrp, formRefAddr, formRefSup4, formStrpSup, formStrx4, formAddrx4, formGNURefAlt, formGNUStrpAlt:
		return 4
	case formAddr, formData8, formRef8, formRefSig8, formRefSup8:
		return 8
	case formData16:
		return 16
	}
	return -1
}

// die is an entry.
type die struct {
	u   *unit
	off uint64
	ab  *abbrev
	at  int // offset of the attributes
}

// value is an attribute's value.
type value struct {
	u        *unit
	at, form uint32
	off      int // where it is in .debug_info
	uint     uint64
	block    []byte
}

func (d die) ok() bool { return d.ab != nil }

func (u *unit) cursor() cursor {
	return cursor{d: u.dw.info.upto(u.end)[:u.end], what: ".debug_info"}
}

// root is the unit's own entry.
func (u *unit) root() (die, bool) {
	u.open()
	return u.entry(u.first)
}

// entry decodes the entry at off; false for a null entry.
func (u *unit) entry(off uint64) (die, bool) {
	if off < u.first || off >= u.end {
		bad("offset %#x is outside of its unit", off)
	}
	c := u.cursor()
	c.p = int(off)
	code := c.uleb()
	if code == 0 {
		return die{}, false
	}
	return die{u, off, u.table.find(code), c.p}, true
}

// die finds an entry anywhere in .debug_info.
func (dw *dwarf) die(off uint64) die {
	u := dw.unitAt(off)
	u.open()
	d, ok := u.entry(off)
	if !ok {
		bad("there is no entry at %#x", off)
	}
	return d
}

// attr decodes one attribute.
func (d die) attr(at uint32) (value, bool) {
	for i := range d.ab.attrs {
		if d.ab.attrs[i].at == at {
			c := d.u.cursor()
			c.p = d.at
			for j := range i {
				d.u.skipForm(&c, d.ab.attrs[j].form)
			}
			return d.u.read(&c, &d.ab.attrs[i]), true
		}
	}
	return value{}, false
}

func (d die) has(at uint32) bool {
	for i := range d.ab.attrs {
		if d.ab.attrs[i].at == at {
			return true
		}
	}
	return false
}

func (d die) flag(at uint32) bool {
	v, ok := d.attr(at)
	return ok && v.uint != 0
}

func (d die) uint(at uint32) (uint64, bool) {
	v, ok := d.attr(at)
	if !ok || v.block != nil {
		return 0, false
	}
	return v.uint, true
}

// end is the offset behind the attributes.
func (d die) end() int {
	if d.ab.fixed >= 0 && d.u.offSize == 4 && d.u.version > 2 {
		return d.at + d.ab.fixed
	}
	c := d.u.cursor()
	c.p = d.at
	for i := range d.ab.attrs {
		d.u.skipForm(&c, d.ab.attrs[i].form)
	}
	return c.p
}

// next is the offset of the entry behind d and its children.
func (d die) next() uint64 {
	if !d.ab.children {
		return uint64(d.end())
	}
	if d.ab.sibling >= 0 {
		v, _ := d.attr(atSibling)
		if off := v.ref(); off > d.off && off <= d.u.end {
			return off
		}
		bad("the entry at %#x has a sibling at a wrong place", d.off)
	}
	off := uint64(d.end())
	for depth := 1; depth > 0; {
		if off >= d.u.end {
			return off
		}
		k, ok := d.u.entry(off)
		switch {
		case !ok:
			depth--
			off++
		case k.ab.children && k.ab.sibling >= 0:
			off = k.next()
		default:
			if k.ab.children {
				depth++
			}
			off = uint64(k.end())
		}
	}
	return off
}

// each calls f for the direct children of d until it returns false.
func (d die) each(f func(die) bool) {
	if !d.ab.children {
		return
	}
	for off := uint64(d.end()); off < d.u.end; {
		k, ok := d.u.entry(off)
		if !ok || !f(k) {
			return
		}
		off = k.next()
	}
}

// inherited looks for an attribute in d, then in what d completes or is a copy of.
func (d die) inherited(at uint32) (value, bool) {
	for range maxDepth {
		if v, ok := d.attr(at); ok {
			return v, true
		}
		o, ok := d.origin()
		if !ok {
			return value{}, false
		}
		d = o
	}
	bad("the entry at %#x is its own origin", d.off)
	return value{}, false
}

// origin is the entry that d is a copy or the completion of.
func (d die) origin() (die, bool) {
	v, ok := d.attr(atAbstractOrigin)
	if !ok {
		v, ok = d.attr(atSpecification)
	}
	if !ok {
		return die{}, false
	}
	return d.u.dw.die(v.ref()), true
}

func (d die) name() string {
	if v, ok := d.inherited(atName); ok {
		return v.str()
	}
	return ""
}

// typ is the entry of d's type; false for void.
func (d die) typ() (die, bool) {
	v, ok := d.inherited(atType)
	if !ok {
		return die{}, false
	}
	return d.u.dw.die(v.ref()), true
}

type attrUint struct {
	at uint32
	u  uint64
}

// attrsOf decodes the constants among some attributes.
func (d die) attrsOf(ats ...uint32) []attrUint {
	var out []attrUint
	for _, at := range ats {
		if v, ok := d.attr(at); ok {
			out = append(out, attrUint{at, v.uint})
		}
	}
	return out
}

package state

// This file defines the regions that a path may be in: under a lock, within
// RCU's read-side section, with preemption or interrupts off.

// Lock is a lock that is held.
type Lock struct {
	Kind LockKind
	Map  int32  // index in Image.Maps of the value that holds it, when Type is 0
	Type TypeID // of the object that holds it
	ID   uint32 // of the pointer that it was taken through: tells values apart
	Insn int    // that took it
}

// LockKind is a kind of lock.
type LockKind uint8

const (
	SpinLock LockKind = 1 + iota
	ResSpinLock
	ResSpinLockIRQ // also saves the flag of interrupts
)

// IRQ is a saved flag of interrupts.
type IRQ struct {
	ID   uint32
	Insn int  // that saved it
	Lock bool // a lock saved it
}

// Regions are the regions that a path is in. Slices are never changed in place.
type Regions struct {
	RCU     uint8 // depth of read-side sections
	Preempt uint8 // depth of sections that can't be preempted
	Locks   []Lock
	IRQs    []IRQ
}

// InRCU reports whether RCU keeps objects alive here. sleepable: of the program.
func (s *State) InRCU(sleepable bool) bool {
	return !sleepable || s.RCU > 0 || len(s.Locks) > 0
}

// MaySleep reports whether nothing here forbids to sleep, in a program that may.
func (s *State) MaySleep() bool {
	return s.RCU == 0 && s.Preempt == 0 && len(s.Locks) == 0 && len(s.IRQs) == 0
}

// TakeLock adds a lock.
func (s *State) TakeLock(l Lock) {
	s.Locks = append(s.Locks[:len(s.Locks):len(s.Locks)], l)
}

// DropLock gives up the lock that was taken last.
func (s *State) DropLock() { s.Locks = s.Locks[: len(s.Locks)-1 : len(s.Locks)-1] }

// SaveIRQ adds a saved flag of interrupts.
func (s *State) SaveIRQ(insn int, lock bool) uint32 {
	id := s.NewID()
	s.IRQs = append(s.IRQs[:len(s.IRQs):len(s.IRQs)], IRQ{id, insn, lock})
	return id
}

// RestoreIRQ gives up the flag that was saved last.
func (s *State) RestoreIRQ() { s.IRQs = s.IRQs[: len(s.IRQs)-1 : len(s.IRQs)-1] }

// LeaveRCU ends a read-side section: what RCU protected is not to be relied on any more.
func (s *State) LeaveRCU() {
	s.RCU--
	s.each(func(r *Reg) (Reg, bool) {
		if r.Kind != BTF || r.Trust != RCU {
			return Reg{}, false
		}
		v := *r
		v.Trust, v.Nullable, v.ID = Untrusted, false, 0
		return v, true
	})
	s.eachObject(func(r *Reg) (Reg, bool) {
		if r.Kind != Iter || r.Trust != RCU {
			return Reg{}, false
		}
		v := *r
		v.Trust = Untrusted
		return v, true
	})
}

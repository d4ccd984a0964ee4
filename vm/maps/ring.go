package maps

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/gtrace-dev/gtrace/object"
)

// This file defines ring buffers. A record never wraps: where it would, a
// discarded record fills the rest and it starts at the beginning. The kernel
// maps its data twice instead, which a process that maps the whole memory
// once, at one base, could not follow.

const maxRecord = 1 << 29

func planRing(def *object.Map, h *Header) error {
	if err := checkFlags(def, flagNumaNode); err != nil {
		return err
	}
	if def.KeySize != 0 || def.ValueSize != 0 {
		return invalid(def, fmt.Sprintf("a ring buffer has no keys and values, found key_size %d, value_size %d", def.KeySize, def.ValueSize))
	}
	if def.MaxEntries%Page != 0 || def.MaxEntries&(def.MaxEntries-1) != 0 {
		return invalid(def, fmt.Sprintf("max_entries is %d, expected a power of 2 and multiple of %d", def.MaxEntries, Page))
	}
	h.Consumer, h.Producer, h.Values = Page, 2*Page, 3*Page
	h.Size = h.Values + uint64(def.MaxEntries)
	return nil
}

func recordSize(n uint64) uint64 { return align(n+RecordHeader, 8) }

// header is the record header at position pos.
func (m *Map) header(pos uint64) *[2]uint32 {
	return (*[2]uint32)(unsafe.Add(m.values, pos&(m.dataSize-1)))
}

// Reserve gives out a record of size bytes, or nil when the ring is full: the
// record is lost. It is seen by the consumer only after Submit, and everything
// reserved later waits for it. Records of up to half the ring always fit into
// an empty one.
func (m *Map) Reserve(size uint64) unsafe.Pointer {
	if m.producer == nil || size > maxRecord {
		return nil
	}
	total := recordSize(size)
	if total > m.dataSize || !lock(&m.producer.Lock) {
		return nil
	}
	defer unlock(&m.producer.Lock)
	pos, cons := atomic.LoadUint64(&m.producer.Pos), atomic.LoadUint64(&m.consumer.Pos)
	if pos%8 != 0 {
		return nil // another process has damaged it
	}
	var fill uint64
	if left := m.dataSize - pos&(m.dataSize-1); left < total {
		fill = left
	}
	if pos+fill+total-cons >= m.dataSize {
		if fill > 0 && pos == cons {
			m.fill(pos, fill) // else a large record would never fit
		}
		return nil
	}
	if fill > 0 {
		m.writeFill(pos, fill)
		pos += fill
	}
	h := m.header(pos)
	h[1] = uint32((m.hdr.Values + pos&(m.dataSize-1)) / Page)
	atomic.StoreUint32(&h[0], uint32(size)|RecordBusy)
	atomic.StoreUint64(&m.producer.Pos, pos+total)
	return unsafe.Add(unsafe.Pointer(h), RecordHeader)
}

func (m *Map) writeFill(pos, n uint64) {
	h := m.header(pos)
	h[1] = 0
	atomic.StoreUint32(&h[0], uint32(n-RecordHeader)|RecordDiscard)
}

func (m *Map) fill(pos, n uint64) {
	m.writeFill(pos, n)
	atomic.StoreUint64(&m.producer.Pos, pos+n)
}

// Submit hands a record from Reserve to the consumer. The record is the consumer's afterwards.
func Submit(rec unsafe.Pointer) { finish(rec, 0) }

// Discard drops a record from Reserve.
func Discard(rec unsafe.Pointer) { finish(rec, RecordDiscard) }

func finish(rec unsafe.Pointer, bit uint32) {
	h := (*uint32)(unsafe.Add(rec, -RecordHeader))
	atomic.StoreUint32(h, atomic.LoadUint32(h)&^RecordBusy|bit)
}

// Output reserves, fills and submits a record; false: lost.
func (m *Map) Output(data unsafe.Pointer, size uint64) bool {
	rec := m.Reserve(size)
	if rec == nil {
		return false
	}
	copy(unsafe.Slice((*byte)(rec), size), unsafe.Slice((*byte)(data), size))
	Submit(rec)
	return true
}

// Consume calls f with each finished record in the order of Reserve, and
// stops at the first unfinished one, at the end, or at f's error. The slice
// lies in shared memory and is valid during the call. It returns the number of
// records that f saw.
func (m *Map) Consume(f func(rec []byte) error) (int, error) {
	if m.consumer == nil {
		return 0, &Unsupported{m.def.Name, "records of map type " + m.typ.String()}
	}
	m.consuming.Lock()
	defer m.consuming.Unlock()
	n := 0
	for cons := atomic.LoadUint64(&m.consumer.Pos); cons != atomic.LoadUint64(&m.producer.Pos); {
		h := m.header(cons)
		w := atomic.LoadUint32(&h[0])
		if w&RecordBusy != 0 {
			return n, nil
		}
		size, err := m.checkRecord(cons, w)
		if err != nil {
			return n, err
		}
		if w&RecordDiscard == 0 {
			err = f(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(h), RecordHeader)), size))
			n++
		}
		cons += recordSize(size)
		atomic.StoreUint64(&m.consumer.Pos, cons)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// checkRecord checks the header of a record that another process may have written.
func (m *Map) checkRecord(pos uint64, w uint32) (uint64, error) {
	size := uint64(w &^ (RecordBusy | RecordDiscard))
	prod := atomic.LoadUint64(&m.producer.Pos)
	if pos%8 != 0 || recordSize(size) > prod-pos || pos&(m.dataSize-1)+recordSize(size) > m.dataSize {
		return 0, fmt.Errorf("ring buffer %q is damaged: record of %d bytes at position %d, producer at %d", m.def.Name, size, pos, prod)
	}
	return size, nil
}

// Abandon discards every unfinished record: for when those who reserved them
// are gone. It returns their number.
func (m *Map) Abandon() (int, error) {
	if m.consumer == nil {
		return 0, &Unsupported{m.def.Name, "records of map type " + m.typ.String()}
	}
	m.consuming.Lock()
	defer m.consuming.Unlock()
	n := 0
	for pos := atomic.LoadUint64(&m.consumer.Pos); pos != atomic.LoadUint64(&m.producer.Pos); {
		h := m.header(pos)
		w := atomic.LoadUint32(&h[0])
		size, err := m.checkRecord(pos, w)
		if err != nil {
			return n, err
		}
		if w&RecordBusy != 0 {
			atomic.StoreUint32(&h[0], w&^RecordBusy|RecordDiscard)
			n++
		}
		pos += recordSize(size)
	}
	return n, nil
}

// RingState is what bpf_ringbuf_query reports.
type RingState struct {
	Available, Size, Consumer, Producer uint64 // bytes
}

// Ring reports the state of a ring buffer; ok is false for other maps.
func (m *Map) Ring() (s RingState, ok bool) {
	if m.consumer == nil {
		return s, false
	}
	s = RingState{Size: m.dataSize, Consumer: atomic.LoadUint64(&m.consumer.Pos), Producer: atomic.LoadUint64(&m.producer.Pos)}
	s.Available = s.Producer - s.Consumer
	return s, true
}

package out

import (
	"math"
	"strconv"

	"github.com/gtrace-dev/gtrace/event"
)

// This file defines histograms: which values a bucket stands for, which
// buckets are shown, and the bars.

// bucket is one shown bucket: values from lo to hi, both included.
type bucket struct {
	lo, hi        uint64 // of a linear histogram: int64
	noLow, noHigh bool   // open towards minus or plus infinity
	count         uint64
}

// buckets returns r's buckets from the first that is not 0 to the last, and
// the largest count. Counts are divided by div.
func (r *row) shown(m *event.Map, div int64) (bs []bucket, largest uint64) {
	first, last := -1, -1
	for i, n := range r.buckets {
		if n > 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return nil, 0
	}
	for i := first; i <= last; i++ {
		var b bucket
		if m.Agg == event.Hist {
			b = log2Bucket(i)
		} else {
			b = linearBucket(m, i)
		}
		b.count = r.buckets[i] / uint64(max(1, div))
		largest = max(largest, b.count)
		bs = append(bs, b)
	}
	return bs, largest
}

// log2Bucket is bucket i of event.Hist: negative values, 0, then [2^k, 2^(k+1)).
func log2Bucket(i int) bucket {
	switch i {
	case 0:
		return bucket{noLow: true, hi: math.MaxUint64} // -1
	case 1:
		return bucket{}
	}
	lo := uint64(1) << (i - 2)
	return bucket{lo: lo, hi: lo + (lo - 1)}
}

// linearBucket is bucket i of event.LHist: below Lo, the steps, from Hi on.
func linearBucket(m *event.Map, i int) bucket {
	n := m.LHistBuckets()
	switch i {
	case 0:
		return bucket{noLow: true, hi: uint64(m.Lo - 1)}
	case n - 1:
		// Where Step does not divide the range, values below Hi are in here too.
		return bucket{noHigh: true, lo: uint64(m.Lo + int64(n-2)*m.Step)}
	}
	lo := m.Lo + int64(i-1)*m.Step
	return bucket{lo: uint64(lo), hi: uint64(lo + m.Step - 1)}
}

// barWidth is the width of the longest bar.
const barWidth = 52

// suffixes of powers of 1024.
const suffixes = "KMGTPE"

// short writes n with the largest suffix that divides it.
func short(n uint64, signed bool) string {
	neg := signed && int64(n) < 0
	if neg {
		n = -n
	}
	suffix := ""
	for i := 0; i < len(suffixes) && n >= 1024 && n%1024 == 0; i++ {
		n /= 1024
		suffix = suffixes[i : i+1]
	}
	s := strconv.FormatUint(n, 10) + suffix
	if neg {
		s = "-" + s
	}
	return s
}

// label is the bucket's range in text: "[4, 8)".
func (b *bucket) label(m *event.Map) string {
	linear := m.Agg == event.LHist
	switch {
	case b.noLow:
		return "(..., " + short(b.hi+1, true) + ")"
	case b.noHigh:
		return "[" + short(b.lo, linear) + ", ...)"
	case !linear && b.lo <= 1:
		return "[" + strconv.FormatUint(b.lo, 10) + "]"
	case !linear && b.hi == math.MaxUint64:
		return "[" + short(b.lo, false) + ", 16E)" // 2^64 does not fit a uint64
	}
	return "[" + short(b.lo, linear) + ", " + short(b.hi+1, linear) + ")"
}

// appendHist appends a histogram's lines.
func (r *row) appendHist(dst []byte, m *event.Map, div int64) []byte {
	bs, largest := r.shown(m, div)
	for i := range bs {
		label := bs[i].label(m)
		dst = append(dst, label...)
		dst = appendSpaces(dst, 16-len(label))
		count := strconv.FormatUint(bs[i].count, 10)
		dst = appendSpaces(dst, 8-len(count))
		dst = append(append(dst, count...), " |"...)
		bar := 0
		if largest > 0 {
			bar = int(float64(bs[i].count) / float64(largest) * barWidth)
		}
		for range bar {
			dst = append(dst, '@')
		}
		dst = appendSpaces(dst, barWidth-bar)
		dst = append(dst, "|\n"...)
	}
	return dst
}

func appendSpaces(dst []byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, ' ')
	}
	return dst
}

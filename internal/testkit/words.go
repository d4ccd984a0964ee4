package testkit

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// This file defines how cases write bytes.

// fields splits a line at blanks; a quoted Go string is one field.
func fields(line string) ([]string, error) {
	var fs []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		n := strings.IndexAny(line, " \t")
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("string without an end: %s", line)
			}
			n = len(q)
		}
		if n < 0 {
			n = len(line)
		}
		fs = append(fs, line[:n])
		line = line[n:]
	}
	return fs, nil
}

// parseBytes parses fields such as u32 7 u64 -1 str16 "x" hex 00 ff.
func parseBytes(fs []string) ([]byte, error) {
	var b []byte
	kind := ""
	for _, f := range fs {
		switch {
		case f == "u8", f == "u16", f == "u32", f == "u64", f == "hex":
			kind = f
		case strings.HasPrefix(f, "str"):
			kind = f
		default:
			var err error
			if b, err = appendField(b, kind, f); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func appendField(b []byte, kind, f string) ([]byte, error) {
	switch {
	case kind == "":
		return nil, fmt.Errorf("%q has no kind before it (u8, u16, u32, u64, strN, hex)", f)
	case kind == "hex":
		x, err := hex.DecodeString(f)
		return append(b, x...), err
	case strings.HasPrefix(kind, "str"):
		n, err := strconv.Atoi(kind[3:])
		if err != nil {
			return nil, fmt.Errorf("%s: expected strN with N bytes", kind)
		}
		s, err := strconv.Unquote(f)
		if err != nil || len(s) > n {
			return nil, fmt.Errorf("%s: expected a quoted string of at most %d bytes", f, n)
		}
		return append(append(b, s...), make([]byte, n-len(s))...), nil
	}
	bits, _ := strconv.Atoi(kind[1:])
	v, err := number(f)
	if err != nil {
		return nil, err
	}
	if up := int64(v) >> (bits - 1); bits < 64 && up != 0 && up != 1 && up != -1 {
		return nil, fmt.Errorf("%s does not fit %s", f, kind)
	}
	word := binary.LittleEndian.AppendUint64(nil, v)
	return append(b, word[:bits/8]...), nil
}

// number parses a signed or unsigned 64-bit number.
func number(f string) (uint64, error) {
	if v, err := strconv.ParseUint(f, 0, 64); err == nil {
		return v, nil
	}
	v, err := strconv.ParseInt(f, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number between %d and 2^64-1", f, int64(math.MinInt64))
	}
	return uint64(v), nil
}

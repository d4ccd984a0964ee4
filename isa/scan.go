package isa

import (
	"fmt"
	"strconv"
	"strings"
)

// tokKind is the kind of a token of assembly text.
type tokKind uint8

const (
	tokEnd tokKind = iota
	tokWord
	tokNumber
	tokString
	tokPunct
)

type token struct {
	kind tokKind
	text string // a string's value without its quotes
}

func (t token) is(s string) bool     { return t.kind == tokPunct && t.text == s }
func (t token) isWord(s string) bool { return t.kind == tokWord && t.text == s }

// puncts are tried in this order: longer ones first.
var puncts = []string{
	"s>>=", "s>=", "s<=", "s/=", "s%=", "s>", "s<", "<<=", ">>=",
	"+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "==", "!=", ">=", "<=",
	"(", ")", "[", "]", ",", "=", "+", "-", "*", ">", "<", "&", ":", "#", "@",
}

// reserved words begin an instruction or stand where a name could, and so cannot be plain names.
var reserved = map[string]bool{
	"if": true, "goto": true, "gotol": true, "may_goto": true, "exit": true, "call": true, "callx": true,
	"lock": true, "store_release": true, "kfunc": true, "pc": true, "ll": true, ".insn": true,
}

func wordByte(c byte, first bool) bool {
	return c == '_' || c == '.' || c == '$' || c|0x20 >= 'a' && c|0x20 <= 'z' || !first && c >= '0' && c <= '9'
}

func isRegister(s string) bool {
	if len(s) < 2 || s[0] != 'r' && s[0] != 'w' {
		return false
	}
	return s[1:] == "10" || len(s) == 2 && s[1] >= '0' && s[1] <= '9'
}

// scan splits a line into tokens and drops its comment.
func scan(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ';':
			return out, nil
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '"':
			q, err := strconv.QuotedPrefix(s[i:])
			if err != nil {
				return nil, fmt.Errorf("a quoted name does not end")
			}
			v, err := strconv.Unquote(q)
			if err != nil {
				return nil, fmt.Errorf("%s is not a quoted string", q)
			}
			out = append(out, token{tokString, v})
			i += len(q)
		case c >= '0' && c <= '9':
			j := i
			for j < len(s) && wordByte(s[j], false) {
				j++
			}
			out = append(out, token{tokNumber, s[i:j]})
			i = j
		default:
			t, err := scanRest(s[i:])
			if err != nil {
				return nil, err
			}
			out = append(out, t)
			i += len(t.text)
		}
	}
	return out, nil
}

// scanRest reads punctuation or a word: in this order, for "s>>=" begins like a word.
func scanRest(s string) (token, error) {
	for _, p := range puncts {
		if strings.HasPrefix(s, p) {
			return token{tokPunct, p}, nil
		}
	}
	j := 0
	for j < len(s) && wordByte(s[j], j == 0) {
		j++
	}
	if j == 0 {
		return token{}, fmt.Errorf("unexpected %q", s[:1])
	}
	return token{tokWord, s[:j]}, nil
}

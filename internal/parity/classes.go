package main

// This file defines classes: which of our fault codes says what a message of
// the kernel says. The table is messages.txt.

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed messages.txt
var messagesText string

// class is a line of the table.
type class struct {
	codes   []string
	pattern string
	match   *regexp.Regexp
}

var classes = readClasses(messagesText)

func readClasses(text string) []class {
	var list []class
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		codes, pattern, ok := strings.Cut(line, " ")
		if !ok {
			panic(fmt.Sprintf("messages.txt: %q: expected codes and a message", line))
		}
		pattern = strings.TrimSpace(pattern)
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		list = append(list, class{strings.Split(codes, ","), pattern, regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")})
	}
	return list
}

var (
	registers = regexp.MustCompile(`\bR\d+(_\w+)?\b`)
	digits    = regexp.MustCompile(`-?\b(0x[0-9a-f]+|\d+)\b`)
)

// folded is a message of the kernel without names of registers and numbers.
func folded(message string) string {
	return digits.ReplaceAllString(registers.ReplaceAllString(message, "R#"), "N")
}

// codesOf are the codes that say the same as a message; none if the table does not know it.
func codesOf(message string) []string {
	message = folded(message)
	for _, c := range classes {
		if c.match.MatchString(message) {
			return c.codes
		}
	}
	return nil
}

// How our code compares with the kernel's message on a program that both reject.
const (
	sameCode  = "same"
	otherCode = "other"
	noClass   = "no class" // the table lacks the message
	noMessage = "no message"
)

// codes compares the sides' reasons; "" where not both reject.
func (r *row) codes() string {
	if r.Kernel.Verdict != reject || r.Ours.Verdict != reject {
		return ""
	}
	want := codesOf(r.Kernel.Message)
	switch {
	case r.Kernel.Message == "":
		return noMessage
	case want == nil:
		return noClass
	case slices.Contains(want, r.Ours.Code):
		return sameCode
	}
	return otherCode
}

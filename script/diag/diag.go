// Package diag defines Diagnostic, what is wrong at a place of a script, and
// renders it with the source line and a caret. It knows no syntax and no types.
package diag

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"
)

// Span is a range of bytes in a script: [Start, End).
type Span struct{ Start, End int }

// To returns the span from s's start to the end of t.
func (s Span) To(t Span) Span { return Span{s.Start, max(s.End, t.End)} }

// Diagnostic is one thing that is wrong with a script.
type Diagnostic struct {
	File      string
	Line, Col int    // from 1; Col counts characters
	Width     int    // characters that the caret underlines, at least 1
	Text      string // the source line
	Message   string
	Expected  string // "" when it does not apply
	Found     string
	Hint      string // what to do
	Notes     []Note // other places that play a part

	// Unsupported: the script is fine by the language, but gtrace can't do it.
	Unsupported bool
	span        Span
}

// Note points at another place of the script.
type Note struct {
	Line, Col int
	Message   string
}

// Error is the diagnostic in one line.
func (d *Diagnostic) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Col, d.Message)
	if d.Expected != "" {
		s += ": expected " + d.Expected
		if d.Found != "" {
			s += ", found " + d.Found
		}
	}
	if d.Hint != "" {
		s += " (" + d.Hint + ")"
	}
	return s
}

// Diagnostics is the error of a script that does not compile, in the order of the text.
type Diagnostics []*Diagnostic

// Error is the first diagnostic in one line, with the number of others.
func (ds Diagnostics) Error() string {
	switch len(ds) {
	case 0:
		return "no errors"
	case 1:
		return ds[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", ds[0].Error(), len(ds)-1)
}

// Unsupported reports whether nothing is wrong with the script but that gtrace can't do it.
func (ds Diagnostics) Unsupported() bool {
	for _, d := range ds {
		if !d.Unsupported {
			return false
		}
	}
	return len(ds) > 0
}

// Render writes all of ds, each with its source line and a caret.
func (ds Diagnostics) Render(w io.Writer) error {
	for _, d := range ds {
		if err := d.Render(w); err != nil {
			return err
		}
	}
	return nil
}

// Render writes d with its source line and a caret under the span.
func (d *Diagnostic) Render(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: error: %s\n", d.File, d.Line, d.Col, d.Message)
	if d.Text != "" || d.Line > 0 {
		gutter := fmt.Sprintf("%5d | ", d.Line)
		text, col, width := d.window()
		b.WriteString(gutter + printable(text) + "\n")
		b.WriteString(strings.Repeat(" ", len(gutter)-2) + "| ")
		b.WriteString(indent(text, col) + "^" + strings.Repeat("~", max(width-1, 0)) + "\n")
	}
	switch {
	case d.Expected != "" && d.Found != "":
		fmt.Fprintf(&b, "        expected %s, found %s\n", d.Expected, d.Found)
	case d.Expected != "":
		fmt.Fprintf(&b, "        expected %s\n", d.Expected)
	case d.Found != "":
		fmt.Fprintf(&b, "        found %s\n", d.Found)
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "        %s:%d:%d: %s\n", d.File, n.Line, n.Col, n.Message)
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "        hint: %s\n", d.Hint)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Of a line that is longer than maxLine characters, Render shows the span and
// what is around it.
const (
	maxLine = 320
	around  = 80
)

// window is the part of the source line to show, and where the span is in it,
// in characters.
func (d *Diagnostic) window() (text string, col, width int) {
	col = d.Col - 1
	if utf8.RuneCountInString(d.Text) <= maxLine {
		return d.Text, col, d.Width
	}
	line := []rune(d.Text)
	from := min(max(col-around, 0), len(line))
	to := min(col+max(d.Width, 1)+around, from+maxLine, len(line))
	text = string(line[from:to])
	if to < len(line) {
		text += "…"
	}
	if from > 0 {
		text = "…" + text
		col++
	}
	col -= from
	return text, col, min(d.Width, max(utf8.RuneCountInString(text)-col, 1))
}

// printable keeps control characters of a script away from the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= ' ' && r != 0x7f && r != utf8.RuneError {
			return r
		}
		return '?'
	}, s)
}

// indent is the white space that puts a caret under character col of text.
func indent(text string, col int) string {
	var b strings.Builder
	for _, r := range text {
		if col <= 0 {
			break
		}
		col--
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	if col > 0 {
		b.WriteString(strings.Repeat(" ", col))
	}
	return b.String()
}

// Source is a script's text with what it takes to name places in it.
type Source struct {
	File  string
	Text  string
	lines []int // byte offset of each line's start
}

// NewSource prepares text for Position.
func NewSource(file, text string) *Source {
	s := &Source{File: file, Text: text, lines: []int{0}}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// Position is the line and column, from 1, of byte off.
func (s *Source) Position(off int) (line, col int) {
	off = min(max(off, 0), len(s.Text))
	i := sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > off }) - 1
	return i + 1, utf8.RuneCountInString(s.Text[s.lines[i]:off]) + 1
}

// Line is the text of a line, without its end.
func (s *Source) Line(line int) string {
	if line < 1 || line > len(s.lines) {
		return ""
	}
	rest := s.Text[s.lines[line-1]:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return strings.TrimRight(rest, "\r")
}

// Max is the number of diagnostics that a List keeps.
const Max = 50

// List gathers diagnostics. The same message at the same place is kept once.
type List struct {
	Source *Source
	all    Diagnostics
	seen   map[string]bool
}

// Add adds a diagnostic at span and returns it, for the caller to say more.
func (l *List) Add(at Span, format string, args ...any) *Diagnostic {
	d := &Diagnostic{File: l.Source.File, Message: fmt.Sprintf(format, args...), span: at}
	d.Line, d.Col = l.Source.Position(at.Start)
	d.Text = l.Source.Line(d.Line)
	end, endCol := l.Source.Position(at.End)
	d.Width = endCol - d.Col
	if end != d.Line {
		d.Width = utf8.RuneCountInString(d.Text) - d.Col + 1
	}
	d.Width = max(d.Width, 1)
	key := fmt.Sprint(at.Start, d.Message)
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	if !l.seen[key] && len(l.all) < Max {
		l.seen[key] = true
		l.all = append(l.all, d)
	}
	return d
}

// Unsupported adds a diagnostic for what the language has and gtrace has not.
func (l *List) Unsupported(at Span, what string, args ...any) *Diagnostic {
	d := l.Add(at, "unsupported: "+what, args...)
	d.Unsupported = true
	return d
}

// Note adds a pointer to another place to d.
func (l *List) Note(d *Diagnostic, at Span, format string, args ...any) {
	line, col := l.Source.Position(at.Start)
	d.Notes = append(d.Notes, Note{line, col, fmt.Sprintf(format, args...)})
}

// Full reports whether no more diagnostics are taken.
func (l *List) Full() bool { return len(l.all) >= Max }

// Len is the number of diagnostics so far.
func (l *List) Len() int { return len(l.all) }

// Err returns the diagnostics in the order of the text; nil without any.
func (l *List) Err() error {
	if len(l.all) == 0 {
		return nil
	}
	out := append(Diagnostics(nil), l.all...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].span.Start < out[j].span.Start })
	return out
}

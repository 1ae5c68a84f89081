package diagnosis

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// Difference is the first difference between our canonical string and the
// provider's.
type Difference struct {
	At     int    // the byte at which they part
	Member string // the member that it is in, of our string or else of theirs, as it may be shown
	Cause  Cause  // what it probably comes from

	// Also are the other members that differ.
	Also []Other
}

// Other is a further member that differs, and the name of the probable cause.
type Other struct {
	Member string
	Cause  i18n.Text
}

// In is both in a language.
func (o Other) In(l i18n.Language) string { return o.Member + " (" + o.Cause.In(l) + ")" }

// Compare finds the first difference, or nil if the strings are equal.
func Compare(ours, theirs []byte) *Difference {
	if bytes.Equal(ours, theirs) {
		return nil
	}
	d := &Difference{At: parting(ours, theirs)}
	a, b := split(ours), split(theirs)
	steps := align(a, b)
	// A cause for the whole string explains the difference of every member.
	if cause, ok := wholeCause(string(ours), string(theirs)); ok {
		d.Cause = cause
		if cause.inside {
			d.Member = body.ShowName(memberAt(a, d.At))
		}
		return d
	}
	if sameInOtherOrder(a, b) {
		d.Cause, d.Member = orderCause(a, b), body.ShowName(memberAt(a, d.At))
		return d
	}
	for i, s := range steps {
		cause := s.cause()
		if i == 0 {
			d.Cause, d.Member = cause, body.ShowName(s.name())
			continue
		}
		d.Also = append(d.Also, Other{body.ShowName(s.name()), cause.Name})
	}
	return d
}

// parting returns where two texts begin to differ, at the beginning of a character of
// both.
func parting(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	for i > 0 && (i < len(a) && !utf8.RuneStart(a[i]) || i < len(b) && !utf8.RuneStart(b[i]) && utf8.Valid(b)) {
		i--
	}
	return i
}

// piece is one name=value of a canonical string.
type piece struct {
	name, value string
	start       int
}

func (p piece) text() string { return p.name + "=" + p.value }

// split cuts a canonical string into its pieces. It is a guess, because nothing
// in such a string is escaped, and the same guess for both sides: a piece
// without "=" is taken for a part of the value before it.
func split(text []byte) []piece {
	var out []piece
	at := 0
	for part := range strings.SplitSeq(string(text), "&") {
		name, value, found := strings.Cut(part, "=")
		switch {
		case found || len(out) == 0:
			out = append(out, piece{name, value, at})
		default:
			out[len(out)-1].value += "&" + part
		}
		at += len(part) + 1
	}
	return out
}

func memberAt(pieces []piece, at int) string {
	name := ""
	for _, p := range pieces {
		if p.start > at {
			break
		}
		name = p.name
	}
	return name
}

func sameInOtherOrder(a, b []piece) bool {
	texts := func(pieces []piece) []string {
		var out []string
		for _, p := range pieces {
			out = append(out, p.text())
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(texts(a), texts(b))
}

// step is one member that differs: both sides where both have it, else one.
type step struct{ ours, theirs *piece }

func (s step) name() string {
	if s.ours != nil {
		return s.ours.name
	}
	return s.theirs.name
}

// align pairs the pieces of both sides and returns the pairs that differ, in
// the order of the strings.
func align(a, b []piece) []step {
	var out []step
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(a) == 0:
			out = append(out, step{theirs: &b[0]})
			b = b[1:]
		case len(b) == 0:
			out = append(out, step{ours: &a[0]})
			a = a[1:]
		case sameName(a[0].name, b[0].name):
			if a[0].text() != b[0].text() {
				out = append(out, step{&a[0], &b[0]})
			}
			a, b = a[1:], b[1:]
		default:
			// One side lacks the member that the other has here, or has it at another
			// place.
			inB, inA := find(b, a[0].name), find(a, b[0].name)
			switch {
			case inB < 0 && inA < 0 && a[0].value == b[0].value && a[0].value != "":
				out = append(out, step{&a[0], &b[0]}) // the same piece by another name
				a, b = a[1:], b[1:]
			case inB < 0:
				out = append(out, step{ours: &a[0]})
				a = a[1:]
			case inA < 0:
				out = append(out, step{theirs: &b[0]})
				b = b[1:]
			default:
				out = append(out, step{&a[0], &b[inB]})
				a, b = a[1:], slices.Delete(slices.Clone(b), inB, inB+1)
			}
		}
	}
	return out
}

func find(pieces []piece, name string) int {
	return slices.IndexFunc(pieces, func(p piece) bool { return sameName(p.name, name) })
}

// sameName reports whether two names are meant to be the same.
func sameName(a, b string) bool { return strings.EqualFold(seen(a), seen(b)) }

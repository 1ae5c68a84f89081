package diagnosis

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Cause is the probable cause of a difference.
type Cause struct {
	Name   i18n.Text // in two or three words, such as "number re-formatted"
	Words  i18n.Text // the difference in words
	Advice i18n.Text // what to do

	// Secret says that their string may have the secret after the first different byte,
	// so that the rest must not be shown.
	Secret bool

	inside bool // it is in a member, not at an end of the string
}

var (
	adviceProvider = i18n.T("ask the provider which of the two it signs; if it is theirs, look for an option of the scheme")
	adviceCopy     = i18n.T("get their string again, as a file; copying through a chat, a mail or an editor changes it")
	adviceServer   = i18n.T("it is on the provider's side: send them this page")
)

// shortestSecret is the length in bytes from which a text that follows our string
// counts as a secret, and not as the rest of a value.
const shortestSecret = 8

// wholeCause returns a cause that explains every difference of two strings.
func wholeCause(ours, theirs string) (Cause, bool) {
	if cause, ok := endCause(ours, theirs); ok {
		return cause, true
	}
	if cause, ok := textCause(ours, theirs); ok {
		cause.inside = true
		return cause, true
	}
	return Cause{}, false
}

// endCause returns a cause at an end of the strings.
func endCause(ours, theirs string) (Cause, bool) {
	if rest, ok := strings.CutPrefix(theirs, ours); ok {
		if name := ending(rest); !name.IsZero() {
			return Cause{Name: name, Words: i18n.T("their string ends with it, ours does not"), Advice: i18n.T("if an editor has put it there, the strings are equal; if not, %v", adviceProvider)}, true
		}
		if strings.HasPrefix(strings.TrimPrefix(rest, "&"), "key=") || len(rest) >= shortestSecret && !strings.Contains(rest, "=") {
			return Cause{
				Name: i18n.T("appended secret"), Secret: true,
				Words:  i18n.T("their string goes on where ours ends, and a secret goes there; it is not shown"),
				Advice: i18n.T("the canonical string ends before the secret: compare without it; and if a secret has gone through a mail or a chat, have it changed"),
			}, true
		}
	}
	if rest, ok := strings.CutPrefix(ours, theirs); ok {
		if name := ending(rest); !name.IsZero() {
			return Cause{Name: name, Words: i18n.T("our string ends with it, theirs does not"), Advice: i18n.T("ask the provider whether it signs that end or whether the copy has lost it")}, true
		}
	}
	if cut, ok := strings.CutSuffix(theirs, ours); ok && strings.Trim(cut, "\ufeff \t\r\n&?") == "" {
		if cut == "\ufeff" {
			return Cause{Name: i18n.T("byte order mark"), Words: i18n.T("their string begins with it"), Advice: i18n.T("an editor has put it there: save the file without it")}, true
		}
		return Cause{Name: i18n.T("leading characters"), Words: i18n.T("their string begins with what ours does not have"), Advice: adviceCopy}, true
	}
	return Cause{}, false
}

// ending names what a string may end with, or "".
func ending(rest string) i18n.Text {
	switch {
	case rest == "" || strings.Trim(rest, " \t\r\n&") != "":
		return i18n.Text{}
	case strings.Contains(rest, "&"):
		return i18n.T("trailing &")
	case strings.Contains(rest, "\n"):
		return i18n.T("trailing newline")
	default:
		return i18n.T("trailing space")
	}
}

// orderCause returns the cause where both strings have the same pieces.
func orderCause(ours, theirs []piece) Cause {
	c := Cause{Name: i18n.T("order"), Words: i18n.T("both have the same members, in another order: %s, %s", sorting(i18n.T("ours"), ours), sorting(i18n.T("theirs"), theirs)), Advice: adviceServer}
	if !isSorted(theirs, bytewise) && !isSorted(theirs, foldwise) {
		c.Advice = i18n.T("the provider's own string must be sorted: ask whether this is what it signs, or the order in which the members came")
	}
	return c
}

func sorting(whose i18n.Text, pieces []piece) i18n.Text {
	switch {
	case isSorted(pieces, bytewise):
		return i18n.T("%s is sorted, upper case before lower case", whose)
	case isSorted(pieces, foldwise):
		return i18n.T("%s is sorted without regard to case", whose)
	default:
		return i18n.T("%s is not sorted", whose)
	}
}

func bytewise(a, b piece) int { return strings.Compare(a.name, b.name) }

func foldwise(a, b piece) int {
	return strings.Compare(strings.ToLower(a.text()), strings.ToLower(b.text()))
}

func isSorted(pieces []piece, by func(a, b piece) int) bool { return slices.IsSortedFunc(pieces, by) }

// cause returns the probable cause of one member's difference.
func (s step) cause() Cause {
	switch {
	case s.theirs == nil:
		return missingInTheirs(s.ours)
	case s.ours == nil:
		return missingInOurs(s.theirs)
	case s.ours.text() == s.theirs.text():
		return Cause{Name: i18n.T("order"), Words: i18n.T("it stands elsewhere in their string"), Advice: adviceServer}
	case s.ours.name != s.theirs.name:
		return nameCause(s.ours.name, s.theirs.name)
	}
	if cause, ok := textCause(s.ours.value, s.theirs.value); ok {
		return cause
	}
	return valueCause(s.ours.value, s.theirs.value)
}

func missingInTheirs(p *piece) Cause {
	switch {
	case p.value == "":
		return Cause{Name: i18n.T("empty value left out"), Words: i18n.T("ours keeps the empty value, theirs leaves it out"), Advice: adviceProvider}
	case isSignatureMember(p.name):
		return Cause{Name: i18n.T("missing member"), Words: i18n.T("their string lacks it: they leave the signature's own members out"), Advice: adviceProvider}
	case slices.Contains([]string{"0", "0.0", "0.00", "false"}, p.value):
		return Cause{Name: i18n.T("missing member"), Words: i18n.T("their string lacks it: in some languages zero and false count as empty"), Advice: i18n.T("ask the provider whether zero and false are signed; if not, leave such a member out of the request")}
	case strings.HasPrefix(p.value, "{") || strings.HasPrefix(p.value, "["):
		return Cause{Name: i18n.T("missing member"), Words: i18n.T("their string lacks it: they leave lists and objects out"), Advice: adviceProvider}
	}
	return Cause{Name: i18n.T("missing member"), Words: i18n.T("their string lacks it"), Advice: i18n.T("the provider does not know this member, or has another message: leave it out of the request, or compare with the string of this very message")}
}

func missingInOurs(p *piece) Cause {
	switch {
	case p.value == "":
		return Cause{Name: i18n.T("empty value kept"), Words: i18n.T("theirs keeps the empty value, ours leaves it out"), Advice: adviceProvider}
	case p.value == "null":
		return Cause{Name: i18n.T("empty value kept"), Words: i18n.T("theirs signs null as a text, ours leaves it out"), Advice: i18n.T("leave such a member out of the request")}
	case p.name == "key":
		return Cause{Name: i18n.T("appended secret"), Secret: true, Words: i18n.T("their string has the secret in it, which ours never has; it is not shown"), Advice: i18n.T("compare without it; and if a secret has gone through a mail or a chat, have it changed")}
	case isSignatureMember(p.name):
		return Cause{Name: i18n.T("missing member"), Words: i18n.T("ours leaves it out, theirs has it: they sign the signature's own member"), Advice: adviceProvider}
	}
	return Cause{Name: i18n.T("missing member"), Words: i18n.T("the body lacks it, or ours leaves it out, and theirs has it"), Advice: i18n.T("compare with the string of this very message; if it is, something between you and the provider has added it")}
}

// isSignatureMember reports whether a member is the signature or its label.
func isSignatureMember(name string) bool {
	switch strings.ToLower(strings.ReplaceAll(name, "_", "")) {
	case "sign", "signtype", "signature":
		return true
	}
	return false
}

func nameCause(ours, theirs string) Cause {
	if strings.EqualFold(ours, theirs) {
		return Cause{Name: i18n.T("case"), Words: i18n.T("the name is written with other upper and lower case letters"), Advice: i18n.T("write the name as the provider's page does; the same provider mixes spellings")}
	}
	if cause, ok := textCause(ours, theirs); ok {
		cause.Words = i18n.T("in the name: %s", cause.Words)
		return cause
	}
	return Cause{Name: i18n.T("another name"), Words: i18n.T("the same value under another name"), Advice: i18n.T("write the name as the provider's page does")}
}

package recipe

import (
	"errors"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// arguments are the words of a line that are still to be read.
type arguments struct {
	line  Line
	words []string // with options filled in
	raw   []string // as they stand
}

func (a *arguments) done() bool { return len(a.words) == 0 }

// peek returns the next word, or "".
func (a *arguments) peek() string {
	if a.done() {
		return ""
	}
	return a.words[0]
}

// next takes the next word, or "".
func (a *arguments) next() string {
	word := a.peek()
	if !a.done() {
		a.words, a.raw = a.words[1:], a.raw[1:]
	}
	return word
}

// nextRaw takes the next word as it stands, for templates.
func (a *arguments) nextRaw() string {
	if a.done() {
		return ""
	}
	word := a.raw[0]
	a.next()
	return word
}

// one takes the only word that is left; usage is the error where there is none, or
// several.
func (a *arguments) one(usage string, args ...any) (string, error) {
	if len(a.words) != 1 {
		return "", a.line.errorf(usage, args...)
	}
	return a.next(), nil
}

// choice takes a word that is one of the values.
func (a *arguments) choice(of string, values ...string) (string, error) {
	word := a.next()
	if !slices.Contains(values, word) {
		return "", a.line.errorf("%s takes one of %s, not %q", of, strings.Join(values, ", "), word)
	}
	return word, nil
}

// names takes words up to one of the keywords.
func (a *arguments) names(of string, keywords []string) ([]string, error) {
	var names []string
	for !a.done() && !slices.Contains(keywords, a.peek()) {
		names = append(names, strings.ReplaceAll(a.next(), `\.`, ".")) // as in a path: a dot that belongs to a name
	}
	if len(names) == 0 {
		return nil, a.line.errorf("%s takes at least one name", of)
	}
	return names, nil
}

// separator takes a text with its escapes read.
func (a *arguments) separator(of string) (string, error) {
	if a.done() {
		return "", a.line.errorf(`%s takes a text, as in: %s "&"`, of, of)
	}
	return unescape(a.next()), nil
}

func unescape(text string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(text)
}

// listedBy takes the words of "names listed by <member>".
func (a *arguments) listedBy() (string, error) {
	if a.next() != "listed" || a.next() != "by" || a.done() {
		return "", a.line.errorf("names is written: names listed by <member>")
	}
	return strings.ReplaceAll(strings.TrimPrefix(a.next(), "body."), `\.`, "."), nil
}

// unknown returns the error for a word that a statement does not have.
func (a *arguments) unknown(statement, word string, known []string) error {
	return a.line.errorf("%s does not have the word %q; it has %s", statement, word, strings.Join(known, ", "))
}

// bodyPath reads body.<path>.
func bodyPath(text string) (body.Path, error) {
	rest, ok := strings.CutPrefix(text, "body.")
	if !ok {
		return nil, i18n.Errorf("%q is no member; members are written body.<path>", text)
	}
	return body.ParsePath(rest)
}

// wrap gives an error the place of the line, unless it has one.
func (l Line) wrap(err error) error {
	if _, placed := errors.AsType[*lineError](err); err == nil || placed {
		return err
	}
	return &lineError{l, err}
}

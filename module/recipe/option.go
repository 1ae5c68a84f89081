package recipe

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Option is an option of a recipe, which a configuration sets.
type Option struct {
	Name    string
	Values  []string // one of these; empty: any text
	Default []string // its values if the configuration sets none
	List    bool     // takes several texts
	At      string
}

// option reads the line of an option:
//
//	option <name>                     any text, empty unless given
//	option <name> <value> <value>...  one of these; the first is the default
//	option <name> default <value>     any text
//	option <name> list <value>...     one or more texts
func readOption(l Line) (Option, error) {
	args := l.Words[1:]
	if len(args) == 0 || !isName(args[0]) {
		return Option{}, l.errorf("option needs a name of lower-case letters, digits, hyphens and underscores, as in: option merchant")
	}
	if slices.Contains(reserved, args[0]) {
		return Option{}, l.errorf("option %s: the name has a meaning in every directive; take another one", args[0])
	}
	o := Option{Name: args[0], At: l.At}
	switch rest := args[1:]; {
	case len(rest) == 0:
	case rest[0] == "default":
		if len(rest) != 2 {
			return o, l.errorf("option %s default takes exactly one value", o.Name)
		}
		o.Default = rest[1:]
	case rest[0] == "list":
		o.List, o.Default = true, rest[1:]
	case len(rest) == 1:
		return o, l.errorf("option %s has one value only; write: option %s default %s, or name the other values", o.Name, o.Name, rest[0])
	default:
		o.Values, o.Default = rest, rest[:1]
	}
	return o, nil
}

// reserved are the names of options that every directive has.
var reserved = []string{
	"keys", "profile", "dial_timeout", "timeout", "max_request_body", "max_response_body", "unsigned_responses", "max_in_flight",
	"forward_headers", "allow_plaintext_upstream", "http", "reverse_proxy", "allow", "require", "limit", "budget", "unique", "guard",
	"as", "window", "ack", "once", "expect", "match", "name",
}

// Check returns an error if the option cannot have the values.
func (o Option) Check(values []string) error {
	if len(values) == 0 && o.List {
		return i18n.Errorf("%s needs at least one value", o.Name)
	}
	if len(values) == 0 || len(values) > 1 && !o.List {
		return i18n.Errorf("%s takes exactly one value, not %d", o.Name, len(values))
	}
	for _, value := range values {
		if !utf8.ValidString(value) {
			return i18n.Errorf("the value of %s is not UTF-8; set the terminal's character encoding to UTF-8", o.Name)
		}
		if len(o.Values) == 0 && value == "" {
			return i18n.Errorf("%s is empty; give a value, or leave the option out", o.Name)
		}
		if len(o.Values) > 0 && !slices.Contains(o.Values, value) {
			return i18n.Errorf("%s cannot be %q; it is one of %s", o.Name, value, strings.Join(o.Values, ", "))
		}
	}
	return nil
}

// Settings are the values of a recipe's options, by name.
type Settings map[string][]string

// matchOption is the option that every recipe with an answer has.
var matchOption = Option{Name: "match", Values: []string{"on", "off"}, Default: []string{"on"}}

// Options returns the options that a recipe declares, match among them if it has an
// answer that is matched.
func (r Recipe) Options() ([]Option, error) {
	var options []Option
	for _, l := range r.Lines {
		if l.Words[0] == "option" {
			o, err := readOption(l)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(options, func(other Option) bool { return other.Name == o.Name }) {
				return nil, l.errorf("option %s is declared twice; remove one of the lines", o.Name)
			}
			options = append(options, o)
		}
	}
	return append(options, matchOption), nil
}

// Package diagnosis finds out why a signature fails: it opens a message with
// other options and keys than those configured, and compares our canonical
// string with the provider's.
//
// Nothing here decides whether a message is genuine. It names what an operator
// may want to change.
package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Setting is one option of a scheme with a value, as it stands after --set.
type Setting struct {
	Option, Value string
}

// String is the setting as it is given on the command line.
func (s Setting) String() string {
	text := s.Option + "=" + s.Value
	if strings.ContainsAny(text, " \t\n\"'$&|;<>(){}*?#~`\\!") {
		text = "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return "--set " + text
}

// ParseSetting reads option=value.
func ParseSetting(text string) (Setting, error) {
	option, value, found := strings.Cut(text, "=")
	if !found || option == "" {
		return Setting{}, fmt.Errorf("--set takes option=value, not %q", text)
	}
	return Setting{option, value}, nil
}

// Recipe is a scheme with the settings that configure it.
type Recipe struct {
	Scheme   string
	Settings []Setting
}

// Configure makes the scheme, with instead in the place of the settings for the
// same options. Values of an option that takes several are separated by commas,
// or the option is given several times.
func (r Recipe) Configure(instead ...Setting) (scheme.Scheme, error) {
	s, err := scheme.New(r.Scheme)
	if err != nil {
		return nil, err
	}
	settings := slices.Clone(instead)
	for _, set := range r.Settings {
		if !slices.ContainsFunc(instead, func(i Setting) bool { return i.Option == set.Option }) {
			settings = append(settings, set)
		}
	}
	values := make(map[string][]string)
	for _, set := range settings {
		o, ok := scheme.Find(s, set.Option)
		switch {
		case !ok:
			return nil, fmt.Errorf("unknown option %q; %s has %s", set.Option, r.Scheme, strings.Join(scheme.OptionNames(s), ", "))
		case o.Many:
			values[set.Option] = append(values[set.Option], strings.Split(set.Value, ",")...)
		case values[set.Option] != nil:
			return nil, fmt.Errorf("the option %s is given twice", set.Option)
		default:
			values[set.Option] = []string{set.Value}
		}
	}
	for _, o := range s.Options() {
		if args, given := values[o.Name]; given {
			if err := o.Set(args); err != nil {
				return nil, err
			}
		}
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("scheme %s: %w", r.Scheme, err)
	}
	return s, nil
}

// Package diagnosis finds why a signature fails: it opens a message with options and
// keys other than the configured ones, and compares our canonical string with the
// provider's.
//
// It does not decide whether a message is genuine. It names settings that an operator
// may want to change.
package diagnosis

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Setting is one option of a scheme with a value, as it stands after --set.
type Setting struct {
	Option, Value string
}

// String returns the setting as it is given on the command line.
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
		return Setting{}, i18n.Errorf("--set takes option=value, not %q", text)
	}
	return Setting{option, value}, nil
}

// Recipe is a scheme with the settings that configure it.
type Recipe struct {
	Scheme   string
	Settings []Setting
	Own      protocol.Recipes // that do not ship
}

// Options returns the options of the scheme.
func (r Recipe) Options() ([]recipe.Option, error) { return protocol.Options(r.Scheme, r.Own) }

// Configure makes the scheme, with instead in place of the settings for the same
// options. Values of an option that takes several are separated by commas, or the
// option is given several times.
func (r Recipe) Configure(instead ...Setting) (scheme.Scheme, error) {
	options, err := r.Options()
	if err != nil {
		return nil, err
	}
	settings := slices.Clone(instead)
	for _, set := range r.Settings {
		if !slices.ContainsFunc(instead, func(i Setting) bool { return i.Option == set.Option }) {
			settings = append(settings, set)
		}
	}
	c := protocol.Config{Name: r.Scheme}
	values := make(map[string][]string)
	var order []string
	for _, set := range settings {
		at := slices.IndexFunc(options, func(o recipe.Option) bool { return o.Name == set.Option })
		switch {
		case at < 0:
			var names []string
			for _, o := range options {
				names = append(names, o.Name)
			}
			return nil, i18n.Errorf("unknown option %q; %s has %s", set.Option, r.Scheme, strings.Join(names, ", "))
		case options[at].List:
			values[set.Option] = append(values[set.Option], strings.Split(set.Value, ",")...)
		case values[set.Option] != nil:
			return nil, i18n.Errorf("the option %s is given twice", set.Option)
		default:
			values[set.Option] = []string{set.Value}
		}
		if !slices.Contains(order, set.Option) {
			order = append(order, set.Option)
		}
	}
	for _, option := range order {
		if err := c.Set(r.Own, option, values[option]); err != nil {
			return nil, err
		}
	}
	return c.Load(r.Own)
}

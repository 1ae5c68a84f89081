package scheme

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
)

// Option is one option of a scheme.
type Option struct {
	// Name is its name in the Caddyfile, in JSON and after --set.
	Name string
	// Try are the values that open --explain tries when an answer does not
	// verify; nil where trying makes no sense.
	Try []string
	// Many says that it takes more than one argument.
	Many bool
	// Requests says that it concerns requests alone. No answer tells its value,
	// so the diagnosis of one tries it only where another option's value cannot
	// do without it.
	Requests bool
	// Set takes its arguments.
	Set func(args []string) error
}

// Enum is an option that takes one of the values.
func Enum(name string, target *string, values ...string) Option {
	return Option{Name: name, Try: values, Set: func(args []string) error {
		value, err := one(name, args)
		if err != nil {
			return err
		}
		if !slices.Contains(values, value) {
			return fmt.Errorf("%s cannot be %q; it is one of %s", name, value, strings.Join(values, ", "))
		}
		*target = value
		return nil
	}}
}

// Text is an option that takes one text that is not empty: an empty one is an
// environment variable that was forgotten.
func Text(name string, target *string) Option {
	return Option{Name: name, Set: func(args []string) error {
		value, err := one(name, args)
		if err != nil {
			return err
		}
		if value == "" {
			return fmt.Errorf("%s is empty; give a value, or leave the option out", name)
		}
		*target = value
		return nil
	}}
}

// List is an option that takes one or more texts.
func List(name string, target *[]string) Option {
	return Option{Name: name, Many: true, Set: func(args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs at least one value", name)
		}
		for _, arg := range args {
			if !utf8.ValidString(arg) {
				return notUTF8(name)
			}
		}
		*target = slices.Clone(args)
		return nil
	}}
}

func one(name string, args []string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("%s takes exactly one value, not %d", name, len(args))
	}
	if !utf8.ValidString(args[0]) {
		return "", notUTF8(name)
	}
	return args[0], nil
}

// notUTF8 is for values from a command line, where a terminal may speak GBK.
// JSON cannot hold them.
func notUTF8(name string) error {
	return fmt.Errorf("the value of %s is not UTF-8; set the terminal's character encoding to UTF-8", name)
}

// OneOf checks the value of an enumerated option that came from JSON and fills
// in its default, the first of the values.
func OneOf(name string, target *string, values ...string) error {
	if *target == "" {
		*target = values[0]
	}
	if !slices.Contains(values, *target) {
		return fmt.Errorf("%s cannot be %q; it is one of %s", name, *target, strings.Join(values, ", "))
	}
	return nil
}

// Find finds an option by its name.
func Find(s Scheme, name string) (Option, bool) {
	for _, o := range s.Options() {
		if o.Name == name {
			return o, true
		}
	}
	return Option{}, false
}

// Name is a scheme's name: "easypay" for countersign.schemes.easypay.
func Name(s Scheme) string { return s.CaddyModule().ID.Name() }

// OptionNames are the names of a scheme's options.
func OptionNames(s Scheme) []string {
	var names []string
	for _, o := range s.Options() {
		names = append(names, o.Name)
	}
	return names
}

// Names are the names of all schemes that are registered.
func Names() []string {
	var names []string
	for _, info := range caddy.GetModules(Namespace) {
		names = append(names, info.ID.Name())
	}
	return names
}

// New makes a scheme by its name, not yet validated.
func New(name string) (Scheme, error) {
	if info, err := caddy.GetModule(Namespace + "." + name); err == nil {
		if s, ok := info.New().(Scheme); ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("unknown scheme %q; known are %s", name, strings.Join(Names(), ", "))
}

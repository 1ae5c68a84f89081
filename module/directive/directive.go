// Package directive parses the options that the directives of the sidecar have in
// common. Every error names the file and line.
package directive

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// Keys reads the arguments of "keys [<source>] <reference>".
func Keys(d *caddyfile.Dispenser) (source, reference string, err error) {
	switch args := d.RemainingArgs(); len(args) {
	case 1:
		reference = args[0]
	case 2:
		source, reference = args[0], args[1]
	default:
		return "", "", d.WrapErr(i18n.Errorf("keys takes a reference, or the name of a source and a reference"))
	}
	if reference == "" {
		return "", "", d.WrapErr(i18n.Errorf("keys takes a reference that is not empty"))
	}
	if !strings.Contains(reference, "{env.") && !strings.Contains(reference, "{file.") {
		if _, err := keys.ParseTemplate(reference); err != nil {
			return "", "", d.WrapErr(err)
		}
	}
	return source, reference, nil
}

// Text reads the one argument of an option.
func Text(d *caddyfile.Dispenser, option string, target *string) error {
	if !d.AllArgs(target) || *target == "" {
		return d.WrapErr(i18n.Errorf("%s takes exactly one value", option))
	}
	return nil
}

// Duration reads a duration, at least a millisecond.
func Duration(d *caddyfile.Dispenser, option string, target *caddy.Duration) error {
	var value string
	if err := Text(d, option, &value); err != nil {
		return err
	}
	parsed, err := ParseDuration(value)
	if err != nil {
		return d.WrapErr(i18n.Errorf("%s must be a duration such as 30s, not %q", option, value))
	}
	*target = parsed
	return nil
}

// ParseDuration reads a duration as Caddy does, days included. It is at least
// a millisecond.
func ParseDuration(value string) (caddy.Duration, error) {
	parsed, err := caddy.ParseDuration(value)
	if err == nil && parsed < time.Millisecond {
		err = i18n.Errorf("%q is shorter than a millisecond", value)
	}
	return caddy.Duration(parsed), err
}

// Size reads a size in bytes, at most 1 GiB.
func Size(d *caddyfile.Dispenser, option string, target *int64) error {
	var value string
	if err := Text(d, option, &value); err != nil {
		return err
	}
	parsed, err := humanize.ParseBytes(value)
	if err != nil || parsed < 1 || parsed > 1<<30 {
		return d.WrapErr(i18n.Errorf("%s must be a size such as 1MiB, at most 1GiB, not %q", option, value))
	}
	*target = int64(parsed)
	return nil
}

// Where returns the place of the current token, as file:line.
func Where(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// At returns a function that adds the current file and line of the dispenser to an
// error. The function returns nil for nil.
func At(d *caddyfile.Dispenser) func(error) error {
	place := Where(d)
	return func(err error) error { return WithPlace(err, place) }
}

// WithPlace adds a place, as file:line, to an error. It returns err itself if err is nil
// or place is "".
func WithPlace(err error, place string) error {
	if err == nil || place == "" {
		return err
	}
	return i18n.Errorf("%w, at %s", err, place)
}

// Option parses the arguments of an option.
type Option func(args []string) error

// Enum returns an option that takes one of the values.
func Enum(name string, target *string, values ...string) Option {
	return func(args []string) error {
		if len(args) != 1 {
			return i18n.Errorf("%s takes exactly one value, not %d", name, len(args))
		}
		if !slices.Contains(values, args[0]) {
			return i18n.Errorf("%s cannot be %q; it is one of %s", name, args[0], strings.Join(values, ", "))
		}
		*target = args[0]
		return nil
	}
}

// Take parses the remaining arguments of the line with an option.
func Take(d *caddyfile.Dispenser, o Option) error {
	if err := o(d.RemainingArgs()); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// List returns an option that takes one or more texts.
func List(name string, target *[]string) Option {
	return func(args []string) error {
		if len(args) == 0 {
			return i18n.Errorf("%s needs at least one value", name)
		}
		*target = slices.Clone(args)
		return nil
	}
}

// OneOf checks the value of an enumerated option that came from JSON and fills in
// its default, the first of the values.
func OneOf(name string, target *string, values ...string) error {
	if *target == "" {
		*target = values[0]
	}
	if !slices.Contains(values, *target) {
		return i18n.Errorf("%s cannot be %q; it is one of %s", name, *target, strings.Join(values, ", "))
	}
	return nil
}

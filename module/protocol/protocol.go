// Package protocol finds a scheme by its name: a recipe of the configuration, a recipe
// that ships, or a scheme written in Go that is registered as a Caddy module.
package protocol

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Namespace is where schemes that are written in Go register as Caddy modules.
const Namespace = "countersign.schemes"

// Recipes are the recipes of a configuration, by name.
type Recipes map[string]recipe.Recipe

// Configurable is a scheme that is written in Go. Its Caddy module makes it, and
// Configure is called once before its other methods.
type Configurable interface {
	caddy.Module
	scheme.Scheme

	// Options are the scheme's options.
	Options() []recipe.Option

	// Configure sets the options to values. An option that settings lacks keeps its
	// default.
	Configure(settings recipe.Settings) error
}

// Config names a scheme and sets its options. In JSON it is one object: the name,
// and beside it each option with a text, or with a list of texts.
type Config struct {
	Name     string
	Settings recipe.Settings
}

// MarshalJSON writes the name and the options.
func (c Config) MarshalJSON() ([]byte, error) {
	object := map[string]any{"name": c.Name}
	for name, values := range c.Settings {
		if len(values) == 1 {
			object[name] = values[0]
		} else {
			object[name] = values
		}
	}
	return json.Marshal(object)
}

// UnmarshalJSON reads the name and the options.
func (c *Config) UnmarshalJSON(text []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	for name, raw := range object {
		var one string
		var several []string
		switch {
		case json.Unmarshal(raw, &one) == nil:
			several = []string{one}
		case json.Unmarshal(raw, &several) == nil:
		default:
			return i18n.Errorf("the option %s of a scheme is a string or a list of strings", name)
		}
		if name == "name" {
			c.Name = several[0]
			continue
		}
		if c.Settings == nil {
			c.Settings = make(recipe.Settings)
		}
		c.Settings[name] = several
	}
	return nil
}

// Names returns the names of all schemes.
func Names(own Recipes) []string {
	names := slices.Concat(slices.Collect(maps.Keys(own)), providers.Names())
	for _, info := range caddy.GetModules(Namespace) {
		names = append(names, info.ID.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Exists reports whether a name is that of a recipe that ships or of a Go scheme.
func Exists(name string) bool {
	_, ships := providers.Find(name)
	return ships || goScheme(name) != nil
}

func goScheme(name string) Configurable {
	info, err := caddy.GetModule(Namespace + "." + name)
	if err != nil {
		return nil
	}
	s, _ := info.New().(Configurable)
	return s
}

// find returns the recipe or the Go scheme of a name.
func find(name string, own Recipes) (recipe.Recipe, Configurable, error) {
	if r, ok := own[name]; ok {
		return r, nil, nil
	}
	if r, ok := providers.Find(name); ok {
		return r, nil, nil
	}
	if s := goScheme(name); s != nil {
		return recipe.Recipe{}, s, nil
	}
	return recipe.Recipe{}, nil, i18n.Errorf("unknown scheme %q; known are %s", name, strings.Join(Names(own), ", "))
}

// Options returns the options of a scheme.
func Options(name string, own Recipes) ([]recipe.Option, error) {
	r, s, err := find(name, own)
	switch {
	case err != nil:
		return nil, err
	case s != nil:
		return s.Options(), nil
	}
	return r.Options()
}

// Load makes the scheme of a configuration.
func (c Config) Load(own Recipes) (scheme.Scheme, error) {
	r, s, err := find(c.Name, own)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return recipe.Compile(c.Name, r, c.Settings)
	}
	if err := s.Configure(c.Settings); err != nil {
		return nil, i18n.Errorf("scheme %s: %w", c.Name, err)
	}
	return s, nil
}

// Set sets an option from its arguments in a Caddyfile or on a command line.
func (c *Config) Set(own Recipes, option string, args []string) error {
	options, err := Options(c.Name, own)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(options, func(o recipe.Option) bool { return o.Name == option })
	if at < 0 {
		names := make([]string, len(options))
		for i, o := range options {
			names[i] = o.Name
		}
		return i18n.Errorf("unknown option %q; besides the common ones, %s has %s", option, c.Name, strings.Join(names, ", "))
	}
	if err := options[at].Check(args); err != nil {
		return err
	}
	if c.Settings == nil {
		c.Settings = make(recipe.Settings)
	}
	c.Settings[option] = slices.Clone(args)
	return nil
}

// Package providers holds the recipes that ship: a folder for each provider, with
// its recipe, its messages and its test keys.
package providers

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/recipe"
)

//go:embed */recipe.caddyfile
var files embed.FS

var load = sync.OnceValues(func() (map[string]recipe.Recipe, error) {
	found, err := fs.Glob(files, "*/recipe.caddyfile")
	if err != nil {
		return nil, err
	}
	all := make(map[string]recipe.Recipe)
	for _, file := range found {
		text, err := files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		recipes, err := Parse(file, text)
		if err != nil {
			return nil, err
		}
		for name, r := range recipes {
			if folder := path.Dir(file); folder != name && !strings.HasPrefix(name, folder+"-") {
				return nil, fmt.Errorf("%s: the recipe %s belongs into a folder of its name", file, name)
			}
			all[name] = r
		}
	}
	return all, nil
})

// Parse reads recipe blocks.
func Parse(file string, text []byte) (map[string]recipe.Recipe, error) {
	tokens, err := caddyfile.Tokenize(text, file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	d := caddyfile.NewDispenser(tokens)
	recipes := make(map[string]recipe.Recipe)
	for d.Next() {
		if d.Val() != "recipe" {
			return nil, d.Errf("expected a recipe block, not %q", d.Val())
		}
		var r recipe.Recipe
		name, err := r.UnmarshalCaddyfile(d)
		if err != nil {
			return nil, err
		}
		if _, twice := recipes[name]; twice {
			return nil, d.Errf("the recipe %s stands twice", name)
		}
		recipes[name] = r
	}
	return recipes, nil
}

// Find finds a recipe that ships.
func Find(name string) (recipe.Recipe, bool) {
	all, err := load()
	if err != nil {
		panic("providers: " + err.Error()) // a test loads them all
	}
	r, ok := all[name]
	return r, ok
}

// Text is the text of the file in which a recipe stands.
func Text(name string) (string, bool) {
	r, ok := Find(name)
	if !ok {
		return "", false
	}
	file, _, _ := strings.Cut(r.At, ":")
	text, err := files.ReadFile(file)
	return string(text), err == nil
}

// Names are the names of all recipes that ship, sorted.
func Names() []string {
	all, err := load()
	if err != nil {
		panic("providers: " + err.Error()) // a test loads them all
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

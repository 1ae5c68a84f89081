// Package providers holds the recipes that ship: a folder for each provider, with
// its recipe, its messages and its test keys.
package providers

import (
	"embed"
	"encoding/json"
	"io/fs"
	"path"
	"sync"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// Of a few dozen kilobytes: recipe test runs the messages from the binary too.
//
//go:embed */recipe.caddyfile */tries.json */messages */keys
var files embed.FS

// found are the recipes that were looked for, by name. Each is read when it is first
// needed: reading all of them takes longer than the rest of a start.
var found sync.Map

// file returns the file of a recipe: it stands alone in a folder of its name.
func file(name string) string { return name + "/recipe.caddyfile" }

// Parse reads recipe blocks and returns them by name. file is the name for errors.
func Parse(file string, text []byte) (map[string]recipe.Recipe, error) {
	tokens, err := caddyfile.Tokenize(text, file)
	if err != nil {
		return nil, i18n.Errorf("reading %s: %w", file, err)
	}
	d := caddyfile.NewDispenser(tokens)
	recipes := make(map[string]recipe.Recipe)
	for d.Next() {
		if d.Val() != "recipe" {
			return nil, d.WrapErr(i18n.Errorf("expected a recipe block, not %q", d.Val()))
		}
		var r recipe.Recipe
		name, err := r.UnmarshalCaddyfile(d)
		if err != nil {
			return nil, err
		}
		if _, twice := recipes[name]; twice {
			return nil, d.WrapErr(i18n.Errorf("the recipe %s stands twice", name))
		}
		recipes[name] = r
	}
	return recipes, nil
}

// Find returns the recipe that ships under a name, and whether there is one.
func Find(name string) (recipe.Recipe, bool) {
	if r, ok := found.Load(name); ok {
		return r.(recipe.Recipe), true
	}
	text, err := files.ReadFile(file(name))
	if err != nil {
		return recipe.Recipe{}, false
	}
	recipes, err := Parse(file(name), text)
	if err != nil {
		panic("providers: " + err.Error()) // a test reads them all
	}
	r, ok := recipes[name]
	if !ok || len(recipes) > 1 {
		panic("providers: " + file(name) + " holds another recipe than " + name)
	}
	found.Store(name, r)
	return r, true
}

// Text returns the text of the file in which a recipe stands.
func Text(name string) (string, bool) {
	text, err := files.ReadFile(file(name))
	return string(text), err == nil
}

// Folder returns the folder of a recipe that ships: its recipe, and, where it has some, its
// messages and the test keys that open them.
func Folder(name string) (fs.FS, bool) {
	if _, err := fs.Stat(files, file(name)); err != nil {
		return nil, false
	}
	folder, err := fs.Sub(files, name)
	return folder, err == nil
}

// Try is what is tried for an option that takes any text, where a message does not
// verify: texts of gateways of the same family, or of others where the provider does not
// publish its own. Besides are, for each of them, values that other options then need.
type Try struct {
	Values  []string            `json:"values"`
	Besides map[string][]string `json:"besides"`
}

// Tries returns those of a recipe, by its options.
func Tries(name string) map[string]Try {
	folder, ok := Folder(name)
	if !ok {
		return nil
	}
	text, err := fs.ReadFile(folder, "tries.json")
	if err != nil {
		return nil // few have some
	}
	tries := make(map[string]Try)
	if err := json.Unmarshal(text, &tries); err != nil {
		panic("providers: the tries of " + name + ": " + err.Error()) // a test reads them all
	}
	return tries
}

// Names returns the names of all recipes that ship, sorted.
func Names() []string {
	names, err := fs.Glob(files, file("*"))
	if err != nil {
		panic("providers: " + err.Error()) // the pattern is a valid one
	}
	for i, name := range names {
		names[i] = path.Dir(name)
	}
	return names
}

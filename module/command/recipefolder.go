package command

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// recipeFile is the recipe of a provider's folder.
const recipeFile = "recipe.caddyfile"

// note is what stands beside a message of a provider's folder: NAME.json beside
// NAME.http. What it does not say the flags say.
type note struct {
	Recipe  string              `json:"recipe"` // which one, where the folder has several
	Kind    message.Kind        `json:"kind"`
	At      time.Time           `json:"at"`
	Ref     string              `json:"ref"` // of the key set, below keys
	Options map[string][]string `json:"options"`

	// Seal is what the application has: sealing it makes the message, and Canonical is
	// what is signed.
	Seal *struct {
		Method  string            `json:"method"`
		URI     string            `json:"uri"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"seal"`
	Canonical string `json:"canonical"`

	// Unread says why a message is not run: what is signed can be compared, but no
	// provider could read it.
	Unread string `json:"unread"`
}

// folder is a provider's folder: recipe.caddyfile, messages and keys.
type folder struct {
	fs      fs.FS
	name    string
	recipes map[string]recipe.Recipe
}

// names returns the names of its recipes, sorted.
func (f folder) names() []string { return slices.Sorted(maps.Keys(f.recipes)) }

// messages returns the names of the messages, sorted.
func (f folder) messages() ([]string, error) { return fs.Glob(f.fs, "messages/*.http") }

// note reads what stands beside a message.
func (f folder) note(file string, flags note) (note, error) {
	n := note{}
	beside := strings.TrimSuffix(file, ".http") + ".json"
	switch text, err := fs.ReadFile(f.fs, beside); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return n, i18n.Errorf("reading %s: %w", beside, err)
	default:
		if err := json.Unmarshal(text, &n); err != nil {
			return n, i18n.Errorf("reading %s: %w", beside, err)
		}
	}
	if n.Kind == "response" { // as --as calls it
		n.Kind = message.Answer
	}
	if n.Kind == "" {
		n.Kind = flags.Kind
	}
	if n.At.IsZero() {
		n.At = flags.At
	}
	if n.Ref == "" {
		n.Ref = flags.Ref
	}
	if n.Options == nil {
		n.Options = flags.Options
	}
	return n, nil
}

// recipe returns the recipe of a message.
func (f folder) recipe(n note) (string, recipe.Recipe, error) {
	name := n.Recipe
	if name == "" {
		name = f.name
	}
	if r, ok := f.recipes[name]; ok {
		return name, r, nil
	}
	if n.Recipe == "" && len(f.recipes) == 1 {
		for name, r := range f.recipes {
			return name, r, nil
		}
	}
	return "", recipe.Recipe{}, i18n.Errorf("which recipe is this message of? Write \"recipe\": \"<name>\" into the JSON file beside it")
}

// keySet reads a key set of the folder.
func (f folder) keySet(reference string) (*keys.Set, error) {
	if reference == "" {
		return nil, i18n.Errorf("which keys open this message? Write \"ref\": \"<reference>\" into the JSON file beside it: a folder below keys")
	}
	dir := path.Join("keys", reference)
	files, err := fs.ReadDir(f.fs, dir)
	if err != nil {
		return nil, i18n.Errorf("loading the key set %q: %w", reference, err)
	}
	material := make(keys.Material)
	for _, file := range files {
		text, err := fs.ReadFile(f.fs, path.Join(dir, file.Name()))
		if err != nil {
			return nil, i18n.Errorf("loading the key set %q: %w", reference, err)
		}
		material[keys.Role(strings.TrimSuffix(file.Name(), ".pem"))] = keys.Value{Text: text, Origin: path.Join(dir, file.Name())}
	}
	set, err := keys.Parse(reference, "1", material)
	if err != nil {
		return nil, i18n.Errorf("loading the key set %q: %w", reference, err)
	}
	return set, nil
}

package stores

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// IsCaddyfile reports whether a word of a Caddyfile begins a store: its name, or
// the address of a Redis server.
func IsCaddyfile(word string) bool {
	return isAddress(word) || slices.Contains(names(), word)
}

// UnmarshalCaddyfile reads a store, on whose first word the dispenser stands, into
// the JSON of its module. Syntax:
//
//	<name> [<argument>...] {
//	    <the store's options>
//	}
//
// An address such as redis://redis:6379 stands for the store redis with that
// address. Written so it is also the consent to a connection without TLS, for which
// the long form needs allow_plaintext.
func UnmarshalCaddyfile(d *caddyfile.Dispenser) (json.RawMessage, error) {
	name := d.Val()
	if !IsCaddyfile(name) {
		return nil, d.WrapErr(i18n.Errorf("unknown store %q; known are %s, and an address such as redis://127.0.0.1:6379", name, strings.Join(names(), ", ")))
	}
	plaintext := strings.HasPrefix(name, "redis://")
	if isAddress(name) {
		name = "redis"
		tokens := d.NextSegment()
		word := tokens[0]
		word.Text = name
		d = caddyfile.NewDispenser(append([]caddyfile.Token{word}, tokens...))
		d.Next()
	}
	id := Namespace + "." + name
	store, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, err
	}
	if _, ok := store.(Store); !ok {
		return nil, d.WrapErr(i18n.Errorf("module %s is no store", id))
	}
	raw := caddyconfig.JSONModuleObject(store, "name", name, nil)
	if !plaintext {
		return raw, nil
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, i18n.Errorf("reading the store's options: %w", err)
	}
	object["allow_plaintext"] = true
	return json.Marshal(object)
}

// isAddress reports whether a word is the address of a Redis server.
func isAddress(word string) bool {
	for _, scheme := range []string{"redis://", "rediss://", "unix://"} {
		if strings.HasPrefix(word, scheme) {
			return true
		}
	}
	return false
}

func names() []string {
	var found []string
	for _, info := range caddy.GetModules(Namespace) {
		found = append(found, info.ID.Name())
	}
	return found
}

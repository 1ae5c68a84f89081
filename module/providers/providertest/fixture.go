package providertest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/internal/checkout"
	"github.com/countersign/caddy-countersign/module/keys"
)

// Parse reads an object.
func Parse[T ~string | ~[]byte](t testing.TB, text T) *body.Object {
	t.Helper()
	o, err := body.Parse([]byte(text))
	require.NoError(t, err, "%s", text)
	return o
}

// Text returns the text of the string called name.
func Text(t testing.TB, o *body.Object, name string) string {
	t.Helper()
	m, ok := o.Get(name)
	require.True(t, ok, "no member %s in %s", name, o.Raw())
	require.Equal(t, body.String, m.Kind(), "%s in %s", name, o.Raw())
	return string(m.Text())
}

// Page returns a provider's page sample, as printed there.
func Page(t testing.TB, name string) string {
	t.Helper()
	return read(t, "module", "providers", "testdata", "pages", name)
}

// Sample returns a request as an application posts it, from caddyfiles/samples.
func Sample(t testing.TB, name string) string {
	t.Helper()
	return read(t, "caddyfiles", "samples", name)
}

func read(t testing.TB, elements ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{checkout.Root()}, elements...)...))
	require.NoError(t, err)
	return string(text)
}

// Vector is an input with a known result.
type Vector struct {
	ID         string          `json:"id"`
	Scheme     string          `json:"scheme"`
	Kind       string          `json:"kind"`
	PublicKey  string          `json:"public_key"`
	Secret     string          `json:"secret"`
	Input      json.RawMessage `json:"input"`
	Canonical  string          `json:"canonical"`
	SHA256     string          `json:"sha256"`
	Signature  string          `json:"signature"`
	Key        string          `json:"key_ascii"`
	Plaintext  string          `json:"plaintext"`
	Ciphertext map[string]string
}

// Vectors returns the published vectors of a scheme, by their ids.
func Vectors(t testing.TB, name string) map[string]Vector {
	t.Helper()
	var all []Vector
	require.NoError(t, json.Unmarshal([]byte(read(t, "module", "providers", "testdata", "vectors.json")), &all))
	out := make(map[string]Vector)
	for _, v := range all {
		if v.Scheme == name {
			out[v.ID] = v
		}
	}
	return out
}

// Keys makes a key set of material.
func Keys(t testing.TB, material map[keys.Role]string) *keys.Set {
	t.Helper()
	m := make(keys.Material)
	for role, text := range material {
		m[role] = keys.Value{Text: []byte(text), Origin: "a test"}
	}
	set, err := keys.Parse("test", "1", m)
	require.NoError(t, err)
	return set
}

// Secret returns a key set of a shared secret.
func Secret(t testing.TB, secret string) *keys.Set {
	t.Helper()
	return Keys(t, map[keys.Role]string{keys.SharedSecret: secret})
}

// Merchant returns the merchant's side of a development key set.
func Merchant(t testing.TB, reference string) *keys.Set {
	t.Helper()
	return devKeys(t, "merchant", reference)
}

// Provider returns the provider's side of it.
func Provider(t testing.TB, reference string) *keys.Set {
	t.Helper()
	return devKeys(t, "provider", reference)
}

func devKeys(t testing.TB, side, reference string) *keys.Set {
	t.Helper()
	folder := filepath.Join(checkout.Root(), "keys-dev", side, filepath.FromSlash(reference))
	material := make(map[keys.Role]string)
	for _, role := range keys.Roles {
		for _, file := range []string{string(role) + ".pem", string(role)} {
			if text, err := os.ReadFile(filepath.Join(folder, file)); err == nil {
				material[role] = string(text)
			}
		}
	}
	require.NotEmpty(t, material, "no keys in %s", folder)
	return Keys(t, material)
}

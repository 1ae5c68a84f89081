package recipe

import (
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// compiled compiles the lines of a recipe.
func compiled(lines string, settings Settings) (*Program, error) {
	d := caddyfile.NewTestDispenser("recipe acme {\n" + lines + "\n}")
	d.Next()
	var r Recipe
	name, err := r.UnmarshalCaddyfile(d)
	if err != nil {
		return nil, err
	}
	return Compile(name, r, settings)
}

func mustCompile(t testing.TB, lines string) *Program {
	t.Helper()
	p, err := compiled(lines, nil)
	require.NoError(t, err, lines)
	return p
}

func shared(text string) *keys.Set {
	secret := keys.NewSecret([]byte(text), "a test")
	return &keys.Set{Reference: "test", Secret: secret, VerifySecrets: []*keys.Secret{secret}}
}

var testTime = time.Date(2026, 11, 26, 13, 14, 15, 0, time.UTC)

// message of a kind, read as the program says.
func (p *Program) read(t testing.TB, kind message.Kind, text string, header ...string) *message.Message {
	t.Helper()
	m := message.New(kind)
	m.Method, m.Status, m.Wire = "POST", 200, []byte(text)
	for i := 0; i < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	require.NoError(t, p.block(kind).format.Read(m), text)
	return m
}

// sum returns what the peer would write as the first signature of a message.
func (p *Program) sum(t testing.TB, m *message.Message, set *keys.Set) string {
	t.Helper()
	return p.sumOf(t, scheme.Incoming{Message: m, Keys: set, Now: testTime})
}

func (p *Program) sumOf(t testing.TB, in scheme.Incoming) string {
	t.Helper()
	in.Message = in.Message.Fresh()
	set := in.Keys
	made, err := p.block(in.Message.Kind).verifies[0].make(p.incoming(&in))
	require.NoError(t, err)
	text := made.Text.Canonical
	if made.Text.With != nil {
		head, tail, err := made.Text.With(set.NamedSecret)
		require.NoError(t, err)
		text = slices.Concat(head, tail)
	}
	return made.Encoding.Encode(made.Algorithm.Sum(set.Secret.Bytes(), text))
}

// seal seals a request with the body.
func (p *Program) seal(t testing.TB, set *keys.Set, text string) (*scheme.Sealed, error) {
	t.Helper()
	m := message.New(message.Request)
	m.Method, m.Scheme, m.Host, m.Path = "POST", "https", "acme.example", "/pay"
	o, err := body.Parse([]byte(text))
	require.NoError(t, err)
	m.SetPayload(o)
	return scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: testTime})
}

// What an option without a default decides is checked where a configuration sets it; all
// else is checked when the recipe is loaded.
func TestCheckWaitsForOptions(t *testing.T) {
	for lines, waits := range map[string]bool{
		"option message\ntext m {\ntemplate {option.message}\n}\nrequest {\nsign header.S hmac-sha256 hex m\n}":                         true,
		"option message\ntext m {\ntemplate {option.message}\n}\nrequest {\nsign header.S hmac-sha256 hex `{header.X}{text.m}`\n}":      true,
		"option field\nrequest {\nsign body.{option.field} hmac-sha256 hex {body.a}\n}":                                                 true,
		"option iv\nrequest {\nencrypt aes-128-cbc hex body.x {\niv {option.iv}\n}\nsign body.sign hmac-sha256 hex {body.a}\n}":         true,
		"option message\ntext m {\ntemplate {option.message}\n}\nrequest {\nsign header.S md6 hex {body.a}\nsign header.R md5 hex m\n}": false,
		"option m\nrequest {\nsign body.sign hmac-sha256 hex {body.m}\ndefault body.m {option.m}\n}":                                    false,
		"option m\nrequest {\nsign body.sign sha256 hex `{secret}{body.a}{option.m}`\n}":                                                false,
		"option m default {header.X}\ntext m {\ntemplate {option.m}\n}\nrequest {\nsign header.S hmac-sha256 hex m\n}":                  false,
	} {
		d := caddyfile.NewTestDispenser("recipe acme {\n" + lines + "\n}")
		d.Next()
		var r Recipe
		_, err := r.UnmarshalCaddyfile(d)
		require.NoError(t, err, lines)
		_, err = Compile("acme", r, nil)
		require.Error(t, err, lines)
		if err = Check("acme", r); waits {
			assert.NoError(t, err, lines)
		} else {
			assert.Error(t, err, lines)
		}
	}
	_, err := compiled("option message\ntext m {\ntemplate {option.message}\n}\nrequest {\nsign header.S hmac-sha256 hex m\n}", Settings{"message": {"{body.a}"}})
	assert.NoError(t, err)
}

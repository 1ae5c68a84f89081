package schemetest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

// Pen signs messages as a provider does. The canonical string is the scheme's:
// that it is right is what the vectors and the sandbox show.
type Pen struct {
	Scheme    scheme.Scheme
	Algorithm signature.Algorithm
	Keys      *keys.Set
}

// Canonical is the canonical string of a message.
func (p Pen) Canonical(t testing.TB, wire scheme.Wire) []byte {
	t.Helper()
	text, err := p.Scheme.(scheme.Canonicalizer).Canonical(wire)
	require.NoError(t, err)
	return text
}

// JSON signs a message without sign, which it appends.
func (p Pen) JSON(t testing.TB, kind scheme.Kind, text string) string {
	t.Helper()
	o := Parse(t, text)
	return WithSign(t, text, p.sign(t, scheme.Wire{Kind: kind, Body: o}))
}

// Form signs the parameters of a form without sign, which it appends.
func (p Pen) Form(t testing.TB, form string) []scheme.Param {
	t.Helper()
	params := Form(t, form)
	sig := p.sign(t, scheme.Wire{Kind: scheme.KindNotification, Form: params})
	return append(params, scheme.Param{Name: "sign", Value: sig})
}

func (p Pen) sign(t testing.TB, wire scheme.Wire) string {
	t.Helper()
	sig, _, err := p.Algorithm.Sign(p.Keys, p.Canonical(t, wire))
	require.NoError(t, err)
	return sig
}

// WithSign sets the member sign of a message.
func WithSign(t testing.TB, text, sig string) string {
	t.Helper()
	var edits body.Editor
	o := Parse(t, text)
	edits.SetString(o, "sign", sig)
	return string(edits.Apply(o.Source()))
}

// Form reads a form.
func Form(t testing.TB, form string) []scheme.Param {
	t.Helper()
	var out []scheme.Param
	for piece := range strings.SplitSeq(form, "&") {
		name, value, _ := strings.Cut(piece, "=")
		value, err := url.QueryUnescape(value)
		require.NoError(t, err)
		out = append(out, scheme.Param{Name: name, Value: value})
	}
	return out
}

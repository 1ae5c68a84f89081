package providertest

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // jeepay and hkrt sign with it
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// Algorithm signs and verifies as a provider does, with the standard library
// alone.
type Algorithm struct {
	sign   func(set *keys.Set, text []byte) (string, error)
	verify func(set *keys.Set, text []byte, signature string) bool
}

// The algorithms of the five providers.
var (
	RSA        = Algorithm{signRSA, verifyRSA}
	MD5        = keyed(func(text, secret []byte) string { return md5Of(append(text, secret...)) })
	MD5WithKey = keyed(func(text, secret []byte) string { return md5Of(append(append(text, "key="...), secret...)) })
	HMACSHA256 = keyed(func(text, secret []byte) string {
		h := hmac.New(sha256.New, secret)
		h.Write(text)
		return hex.EncodeToString(h.Sum(nil))
	})
)

// IsRSA reports whether the algorithm has a pair of keys.
func (a Algorithm) IsRSA() bool { return a.verify != nil }

// Sign signs a text.
func (a Algorithm) Sign(set *keys.Set, text []byte) (string, error) { return a.sign(set, text) }

// Verify verifies the signature of a text.
func (a Algorithm) Verify(set *keys.Set, text []byte, signature string) error {
	ok := false
	if a.verify != nil {
		ok = a.verify(set, text, signature)
	} else if made, err := a.sign(set, text); err == nil {
		ok = made == signature
	}
	if !ok {
		return errors.New("the signature does not verify")
	}
	return nil
}

func keyed(sum func(text, secret []byte) string) Algorithm {
	return Algorithm{sign: func(set *keys.Set, text []byte) (string, error) {
		return sum(append([]byte(nil), text...), set.Secret.Bytes()), nil
	}}
}

func md5Of(text []byte) string {
	sum := md5.Sum(text) //nolint:gosec // see the import
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func signRSA(set *keys.Set, text []byte) (string, error) {
	digest := sha256.Sum256(text)
	raw, err := set.Sign.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	return base64.StdEncoding.EncodeToString(raw), err
}

func verifyRSA(set *keys.Set, text []byte, signature string) bool {
	raw, err := base64.StdEncoding.DecodeString(signature)
	digest := sha256.Sum256(text)
	for _, key := range set.Verify {
		if err == nil && rsa.VerifyPKCS1v15(key.RSA, crypto.SHA256, digest[:], raw) == nil {
			return true
		}
	}
	return false
}

// Signer signs messages as a provider does. The canonical string is the recipe's:
// that it is right is what the vectors and the sandbox show.
type Signer struct {
	Scheme    Scheme
	Algorithm Algorithm
	Keys      *keys.Set
}

// Canonical returns the canonical string of a message.
func (p Signer) Canonical(t testing.TB, w Wire) []byte {
	t.Helper()
	text, err := p.Scheme.Canonical(w)
	require.NoError(t, err)
	return text
}

// JSON signs a message without sign, which it appends.
func (p Signer) JSON(t testing.TB, kind message.Kind, text string) string {
	t.Helper()
	return WithSign(t, text, p.sign(t, Wire{Kind: kind, Body: Parse(t, text)}))
}

// Form signs the parameters of a form without sign, which it appends.
func (p Signer) Form(t testing.TB, form string) []Param {
	t.Helper()
	params := Form(t, form)
	return append(params, Param{"sign", p.sign(t, Wire{Kind: message.Notification, Form: params})})
}

func (p Signer) sign(t testing.TB, w Wire) string {
	t.Helper()
	signature, err := p.Algorithm.Sign(p.Keys, p.Canonical(t, w))
	require.NoError(t, err)
	return signature
}

// WithSign sets the member sign of a message.
func WithSign(t testing.TB, text, signature string) string {
	t.Helper()
	tree := body.NewTree(Parse(t, text))
	require.NoError(t, tree.SetString(body.Path{"sign"}, signature))
	return string(tree.Text())
}

// Form reads a form.
func Form(t testing.TB, form string) []Param {
	t.Helper()
	var out []Param
	for piece := range strings.SplitSeq(form, "&") {
		name, value, _ := strings.Cut(piece, "=")
		value, err := url.QueryUnescape(value)
		require.NoError(t, err)
		out = append(out, Param{name, value})
	}
	return out
}

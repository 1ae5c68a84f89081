package recorder

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Masked stands where a secret stood.
const Masked = "{secret}"

// shortest is the length in bytes from which a secret is also looked for in forms
// in which a short one would be found by chance.
const shortest = 6

// mask replaces the secrets of key sets, in the forms in which messages have them:
// some providers take the secret itself as a token.
type mask struct{ forms [][]byte }

func newMask(sets []*keys.Set) *mask {
	m := new(mask)
	for _, set := range sets {
		m.set(set)
	}
	// A form that holds another one goes first.
	slices.SortFunc(m.forms, func(a, b []byte) int { return len(b) - len(a) })
	return m
}

func (m *mask) set(set *keys.Set) {
	if set == nil {
		return
	}
	if set.Secret != nil {
		m.secret(set.Secret.Bytes())
	}
	for _, s := range set.VerifySecrets {
		if s != set.Secret {
			m.secret(s.Bytes())
		}
	}
	for _, named := range set.Named {
		m.set(named)
	}
}

func (m *mask) secret(value []byte) {
	add := func(form string) {
		if form != "" && !slices.ContainsFunc(m.forms, func(f []byte) bool { return string(f) == form }) {
			m.forms = append(m.forms, []byte(form))
		}
	}
	text := string(value)
	add(text)
	if quoted, err := json.Marshal(text); err == nil {
		add(string(quoted[1 : len(quoted)-1]))
	}
	add(strings.ReplaceAll(text, "/", `\/`))
	add(url.QueryEscape(text))
	add(url.PathEscape(text))
	if len(value) < shortest {
		return
	}
	add(hex.EncodeToString(value))
	add(strings.ToUpper(hex.EncodeToString(value)))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 { // as in "user:secret", where it does not begin with a group of its own
			encoded := encoding.EncodeToString(append(make([]byte, shift), value...))
			add(encoded[(shift*8+5)/6 : len(encoded)-1])
		}
	}
}

// text returns a text with the secrets masked; the same text where there are none.
func (m *mask) text(text []byte) []byte {
	for _, form := range m.forms {
		if bytes.Contains(text, form) {
			text = bytes.ReplaceAll(text, form, []byte(Masked))
		}
	}
	return text
}

func (m *mask) string(text string) string {
	for _, form := range m.forms {
		text = strings.ReplaceAll(text, string(form), Masked)
	}
	return text
}

// Mask masks the secrets of a key set in the texts of signatures.
func Mask(traces []scheme.Trace, set *keys.Set) []scheme.Trace {
	m := newMask([]*keys.Set{set})
	for i := range traces {
		traces[i].Text = m.text(traces[i].Text)
	}
	return traces
}

// MaskText masks the secrets of a key set in a text.
func MaskText(text []byte, set *keys.Set) []byte { return newMask([]*keys.Set{set}).text(text) }

// bodies masks the messages of a record.
func (m *mask) bodies(rec *Record) {
	rec.Path = m.string(rec.Path)
	b := rec.Bodies
	for _, p := range b.parts() {
		p.Wire, p.Path, p.Query = m.text(p.Wire), m.string(p.Path), m.string(p.Query)
		m.header(p.Header)
	}
	for _, signatures := range [][]scheme.Trace{b.Sealed, b.Opened} {
		for i := range signatures {
			signatures[i].Text, _ = cut(m.text(signatures[i].Text))
		}
	}
}

// private are headers that authenticate somebody by what they hold.
var private = regexp.MustCompile(`(?i)cookie|token|passw|secret|api-?key|^proxy-|www-authenticate`)

// bearer is a credential that is used as it is.
var bearer = regexp.MustCompile(`(?i)^\s*(?:basic|bearer)\s`)

func (m *mask) header(h http.Header) {
	for name, values := range h {
		for i, value := range values {
			if private.MatchString(name) || bearer.MatchString(value) {
				values[i] = Masked
				continue
			}
			values[i] = m.string(value)
		}
	}
}

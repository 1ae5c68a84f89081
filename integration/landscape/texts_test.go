package main

import (
	"crypto/md5"  //nolint:gosec // providers sign with it
	"crypto/sha1" //nolint:gosec // providers sign with it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// entry is a message of our own in texts.txt, and what is signed of it.
type entry struct {
	recipe   string
	kind     message.Kind
	settings settings
	raw      string // with SIGN where a signature goes
	text     string
}

// words is what the names of recipes begin with that are nobody's, for words that no
// rule has.
const words = "words-"

func (e entry) name() string { return e.recipe + " " + string(e.kind) }

func readEntries(t *testing.T) []entry {
	t.Helper()
	raw, err := os.ReadFile("texts.txt")
	require.NoError(t, err)
	var all []entry
	for part := range strings.SplitSeq(string(raw), "\n== ") {
		if strings.HasPrefix(part, "#") {
			continue
		}
		head, rest, _ := strings.Cut(part, "\n")
		words := strings.Fields(head)
		e := entry{recipe: words[0], kind: message.Kind(words[1]), settings: make(settings)}
		for _, word := range words[2:] {
			name, value, _ := strings.Cut(word, "=")
			e.settings[name] = strings.Split(value, ",")
		}
		var text string
		e.raw, text, _ = strings.Cut(rest, "\n-- ")
		text, _, _ = strings.Cut(text, "\n")
		e.text = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(text)
		require.NotEmpty(t, e.text, head)
		all = append(all, e)
	}
	return all
}

// message reads the message, with a signature in it.
func (e entry) message(t *testing.T, signature string) *message.Message {
	t.Helper()
	raw := e.raw
	if regexp.MustCompile(`[?&]\w+=SIGN`).MatchString(raw) && e.recipe != "jsb" { // whose answers are not URL-encoded
		signature = url.QueryEscape(signature)
	}
	if strings.Contains(raw, "%253ESIGN") { // in XML that is URL-encoded in a form
		signature = url.QueryEscape(url.QueryEscape(signature))
	}
	if at := strings.LastIndex(raw, "SIGN"); at >= 0 { // a member may be called SHASIGN
		raw = raw[:at] + signature + raw[at+len("SIGN"):]
	}
	head, wire, _ := strings.Cut(raw, "\n\n")
	m := message.New(e.kind)
	m.Wire = []byte(strings.TrimSuffix(wire, "\n"))
	m.Scheme, m.Host = "https", "api.acme.example"
	for i, line := range strings.Split(head, "\n") {
		switch name, value, _ := strings.Cut(line, ": "); {
		case i > 0:
			m.Header.Add(textproto.CanonicalMIMEHeaderKey(name), value)
		case e.kind == message.Answer:
			m.Status = 200
		default:
			var target string
			m.Method, target, _ = strings.Cut(line, " ")
			m.Path, m.Query, _ = strings.Cut(target, "?")
		}
	}
	return m
}

var sums = map[string]func([]byte) []byte{
	"md5":    func(b []byte) []byte { s := md5.Sum(b); return s[:] },  //nolint:gosec // see the import
	"sha1":   func(b []byte) []byte { s := sha1.Sum(b); return s[:] }, //nolint:gosec // see the import
	"sha256": func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
	"sha512": func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
	"sm3":    gm.SM3,
}

var innermost = regexp.MustCompile(`⟦(\w+) ([\w-]+) ([^⟦⟧]*)⟧`)

// filled returns the text with its digests made, and the secrets that are given in it.
func (e entry) filled(secrets map[string]string) string {
	text := e.text
	for name, secret := range secrets {
		hole := "{secret." + name + "}"
		if name == "" {
			hole = "{secret}"
		}
		text = strings.ReplaceAll(text, hole, secret)
	}
	for innermost.MatchString(text) {
		text = innermost.ReplaceAllStringFunc(text, func(found string) string {
			parts := innermost.FindStringSubmatch(found)
			if parts[1] == "turkish" {
				encoded, err := charmap.ISO8859_9.NewEncoder().String(parts[3])
				if err != nil {
					panic(err)
				}
				return encoded
			}
			if parts[1] == "gbk" {
				encoded, err := simplifiedchinese.GBK.NewEncoder().String(parts[3])
				if err != nil {
					panic(err)
				}
				return encoded
			}
			sum := sums[parts[1]]([]byte(parts[3]))
			switch parts[2] {
			case "base64":
				return base64.StdEncoding.EncodeToString(sum)
			case "hex-upper":
				return strings.ToUpper(hex.EncodeToString(sum))
			}
			return hex.EncodeToString(sum)
		})
	}
	return text
}

// pattern returns the text as an expression that a text with fresh parts matches.
func pattern(text string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(text)
	quoted = strings.ReplaceAll(quoted, `\{nonce\}`, `[0-9A-Za-z]+`)
	quoted = strings.ReplaceAll(quoted, `\{uuid\}`, `[0-9a-f-]{36}`)
	return regexp.MustCompile("^" + strings.ReplaceAll(quoted, `\{cipher\}`, `[0-9A-Za-z+/=]+`) + "$")
}

// What a recipe signs of a message of our own is what the rule's prose says.
func TestTexts(t *testing.T) {
	own, err := readRecipes()
	require.NoError(t, err)
	entries := readEntries(t)
	named := make(map[string]bool)
	for _, e := range entries {
		named[e.recipe] = true
		t.Run(e.name(), func(t *testing.T) {
			r, ok := own[e.recipe]
			if !ok {
				r, ok = providers.Find(e.recipe)
			}
			require.True(t, ok, "no recipe %s", e.recipe)
			s := settle(r, e.settings)
			p, err := recipe.Compile(e.recipe, r, recipe.Settings(s))
			require.NoError(t, err)
			now := time.Unix(1795680000, 0)
			x := &exchanger{t: t, name: e.recipe, recipe: r, program: p, settings: s, keys: newKeys(t, r, p, s), now: now}
			if e.kind == message.Request {
				e.sealed(x)
			} else {
				e.opened(x)
			}
		})
	}
	rules, err := readRules()
	require.NoError(t, err)
	compared := 0
	for _, x := range rules {
		if named[x.recipe] {
			compared++
			delete(named, x.recipe)
		}
	}
	for name := range named {
		assert.True(t, strings.HasPrefix(name, words), "no rule has %s", name)
	}
	assert.GreaterOrEqual(t, compared, 60, "rules whose text is compared")
}

// sealed compares the text of a request, and that the signature is made over it.
func (e entry) sealed(x *exchanger) {
	t := x.t
	m := e.message(t, "")
	plain := m.Wire
	m.Wire = nil
	if len(plain) > 0 {
		o, err := body.Parse(plain)
		require.NoError(t, err)
		m.SetPayload(o)
	}
	sealed, err := scheme.Seal(x.program, scheme.Request{Message: m, Keys: x.keys.merchant, Now: x.now})
	require.NoError(t, err)
	if !strings.Contains(e.filled(nil), "{secret") && strings.Contains(e.text, "{secret") { // it stands in a digest
		for _, l := range x.settings.block(x.recipe, message.Request) {
			if l.Words[0] == "sign" {
				place := where(sealed.Message, x.program.Describe().Request.Format, l.Words[1])
				assert.True(t, verifies(x, l, e.filled(x.keys.secrets), place), "the signature is not over %q", e.filled(nil))
			}
		}
		return
	}
	want := e.filled(nil)
	if !strings.Contains(want, "{nonce}") && !strings.Contains(want, "{cipher}") && !strings.Contains(want, "{uuid}") {
		assert.Equal(t, want, string(sealed.Redacted()))
		return
	}
	assert.Regexp(t, pattern(want), string(sealed.Redacted()))
}

// opened compares the text of an answer or a notification, signs the text that is
// written down, and opens it.
func (e entry) opened(x *exchanger) {
	t := x.t
	p := &provider{exchanger: x, kind: e.kind, direction: x.direction(e.kind)}
	if e.kind == message.Answer && x.program.Describe().Request != nil {
		sealed, err := scheme.Seal(x.program, scheme.Request{Message: x.request(), Keys: x.keys.merchant, Now: x.now})
		require.NoError(t, err)
		x.sealed = sealed
	}
	in, err := p.incoming(e.message(t, "AAAA"), x.keys.merchant)
	require.NoError(t, err)
	signatures, err := x.program.Covers(in)
	require.NoError(t, err)
	require.Len(t, signatures, 1)
	s := signatures[0]
	made := s.Text.Canonical
	if s.Text.With != nil {
		head, tail, err := s.Text.With(x.keys.merchant.NamedSecret)
		require.NoError(t, err)
		made = slices.Concat(head, tail)
	}
	want := e.filled(x.keys.secrets)
	require.Equal(t, want, string(made))

	s.Text = scheme.Text{Canonical: []byte(want)}
	if strings.Contains(e.raw, "00ff") || strings.Contains(e.raw, "0f8f6b") {
		return // no ciphertext: it verifies and does not open
	}
	_, err = p.open(e.message(t, p.made(x.keys.provider, s)))
	assert.NoError(t, err)
	_, err = p.open(e.message(t, fmt.Sprintf("%x", "AAAA")))
	assert.Error(t, err)
}

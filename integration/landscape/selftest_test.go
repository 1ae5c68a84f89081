package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The recipe of each row loads, under every value of its options; it seals a request
// of our own, and opens an answer and a notification that the provider's keys have
// signed, and none that was changed, stripped of its signature or signed by a stranger.
func TestEveryRecipe(t *testing.T) {
	own, err := readRecipes()
	require.NoError(t, err)
	rules, err := readRules()
	require.NoError(t, err)
	for name := range own {
		if strings.HasPrefix(name, words) {
			rules = append(rules, rule{state: expressible, recipe: name})
		}
	}
	for _, x := range rules {
		if x.state == not {
			continue
		}
		t.Run(x.recipe, func(t *testing.T) {
			t.Parallel()
			r, ok := find(x, own)
			require.True(t, ok, "there is no recipe %s", x.recipe)
			options, err := r.Options()
			require.NoError(t, err)
			exchange(t, x.recipe, r, nil)
			for _, o := range options {
				for _, value := range o.Values[min(1, len(o.Values)):] {
					set := settings{o.Name: {value}}
					if x.recipe == "hbsk" && value == "sha256" { // a plain digest needs a secret in its text
						set["message"], set["response_message"] = []string{"data={data}&time={time}{secret}"}, []string{"data={data}&time={time}{secret}"}
					}
					if o.Name != "match" {
						exchange(t, x.recipe, r, set)
					}
				}
			}
		})
	}
}

// exchange seals and opens under one choice of options.
func exchange(t *testing.T, name string, r recipe.Recipe, own settings) {
	t.Helper()
	s := settle(r, own)
	given := make(recipe.Settings)
	for name, values := range s {
		given[name] = values
	}
	p, err := recipe.Compile(name, r, given)
	require.NoError(t, err, "%v", own)
	k := newKeys(t, r, p, s)
	x := &exchanger{t: t, name: name, recipe: r, program: p, settings: s, keys: k, now: time.Now()}
	if p.Describe().Request != nil {
		x.seal()
	}
	for _, kind := range []message.Kind{message.Answer, message.Notification} {
		if len(x.settings.block(r, kind)) > 0 {
			x.open(kind)
		}
	}
}

type exchanger struct {
	t        *testing.T
	name     string
	recipe   recipe.Recipe
	program  *recipe.Program
	settings settings
	keys     *keySets
	now      time.Time
	sealed   *scheme.Sealed
}

// request returns a plain request of an application.
func (x *exchanger) request() *message.Message {
	wanted := scan(x.recipe, message.Request, x.settings)
	if block := x.settings.block(x.recipe, message.Answer); block != nil {
		of := scan(x.recipe, message.Answer, x.settings).ofRequest
		wanted.body, wanted.query, wanted.headers = append(wanted.body, of.body...), append(wanted.query, of.query...), append(wanted.headers, of.headers...)
	}
	d := wanted.message(message.Request, x.now, nil)
	m := d.write(x.t, message.Format{}, nil)
	o, err := body.Parse(m.Wire)
	require.NoError(x.t, err)
	m.Wire = nil
	m.SetPayload(o)
	m.Method = x.program.Describe().Methods[len(x.program.Describe().Methods)-1]
	if m.Method == "GET" || m.Method == "DELETE" {
		m.Method = "POST"
	}
	return m
}

// seal seals a request and verifies its last signature over its text.
func (x *exchanger) seal() {
	sealed, err := scheme.Seal(x.program, scheme.Request{Message: x.request(), Keys: x.keys.merchant, Now: x.now})
	require.NoError(x.t, err, "sealing")
	x.sealed = sealed
	var last *recipe.Line
	removed := false
	for _, l := range x.settings.block(x.recipe, message.Request) {
		if l.Words[0] == "sign" {
			last = &l
		}
		removed = removed || last != nil && l.Words[0] == "remove" && l.Words[1] == last.Words[1]
	}
	if last == nil || removed {
		return // a token, or a signature that another header has taken up
	}
	text := string(sealed.Redacted())
	for name, secret := range x.keys.secrets {
		hole := "{secret." + name + "}"
		if name == "" {
			hole = "{secret}"
		}
		text = strings.ReplaceAll(text, hole, secret)
	}
	require.NotEmpty(x.t, text)
	place := where(sealed.Message, x.program.Describe().Request.Format, last.Words[1])
	require.NotEmpty(x.t, place, "%s is empty", last.Words[1])
	if !verifies(x, *last, text, place) { // where a digest of the secret is signed, only the peer knows
		came := *sealed.Message
		_, err := x.program.VerifyRequest(&came, x.keys.provider, x.now)
		assert.NoError(x.t, err, "the signature does not verify over its own text: %s over %q", place, text)
	}
}

// where returns what a request that leaves has at a place.
func where(m *message.Message, f message.Format, place string) string {
	kind, rest, _ := strings.Cut(place, ".")
	switch kind {
	case "header":
		return m.Header.Get(rest)
	case "query":
		value, _, _ := m.Param(rest)
		return value
	case "form":
		value, _ := m.Form.Get(body.Path{rest})
		return string(value.Text())
	}
	path, err := body.ParsePath(rest)
	if err != nil || m.Payload == nil {
		return ""
	}
	value, _ := m.Payload.Get(path)
	return string(value.Text())
}

// verifies verifies a signature of a request without the recipe.
func verifies(x *exchanger, l recipe.Line, text, value string) bool {
	if len(l.Words) > 6 { // as <template>
		if len(l.Words) == 8 {
			plain, err := encoding.DecodeBase64(value)
			if err != nil {
				return false
			}
			value = string(plain)
		}
		pattern := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(l.Words[6], func(hole string) string {
			return map[bool]string{true: "\x01", false: "\x02"}[hole == "{signature}"]
		})
		pattern = strings.NewReplacer("\x01", "(.+?)", "\x02", ".*?").Replace(regexp.QuoteMeta(pattern))
		found := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(value)
		if found == nil {
			return false
		}
		value = found[1]
	}
	a, err := algorithm.Named(l.Words[2])
	require.NoError(x.t, err)
	e, err := encoding.Named(l.Words[3])
	require.NoError(x.t, err)
	raw, err := e.Decode([]byte(value))
	if err != nil {
		return false
	}
	var o algorithm.Options
	id := ""
	for _, inner := range l.Block {
		switch inner.Words[0] {
		case "uid":
			return true // of the message; texts.txt has such a one
		case "key":
			_, id, _ = strings.Cut(inner.Words[1], "@")
		}
	}
	if a.Kind() == algorithm.Public {
		key := pairs()["merchant"+a.KeyKind()]
		return a.Verify(key.signer.Public(), []byte(text), raw, o)
	}
	return a.VerifySum(x.macKey(l, id), []byte(text), raw)
}

// macKey returns the key of a MAC, as the secret is written.
func (x *exchanger) macKey(l recipe.Line, id string) []byte {
	secret := []byte(x.keys.secrets[id])
	for _, inner := range l.Block {
		if inner.Words[0] != "secret" {
			continue
		}
		e, err := encoding.Named(inner.Words[1])
		require.NoError(x.t, err)
		secret, err = e.Decode(secret)
		require.NoError(x.t, err)
	}
	return secret
}

// open opens a message that the provider has signed.
func (x *exchanger) open(kind message.Kind) {
	t := x.t
	if slices.ContainsFunc(x.settings.block(x.recipe, kind), func(l recipe.Line) bool { return l.Words[0] == "split" }) {
		x.openParts(kind)
		return
	}
	p := x.provider(kind)
	wanted, d := p.wanted, p.draft
	genuine := p.sign(x.keys.provider, wanted.lines)
	opened, err := p.open(genuine)
	require.NoError(t, err, "%s: opening what the provider has signed: %s", kind, genuine.Wire)
	if len(genuine.Wire) > 0 {
		assert.NotEmpty(t, opened.Body())
	}

	stranger := make(keys.Material)
	for role, text := range map[keys.Role][]byte{keys.Sign: pairs()["strangerRSA"].private, keys.SharedSecret: []byte("a-stranger's-secret-0123456789abcdef")} {
		stranger[role] = keys.Value{Text: text}
	}
	if kinds := x.program.Describe().Kinds; kinds[keys.Verify] != "" {
		stranger[keys.Sign] = keys.Value{Text: pairs()["stranger"+kinds[keys.Verify]].private}
	}
	strange, err := keys.Parse("stranger", "1", stranger)
	require.NoError(t, err)
	if !slices.ContainsFunc(slices.Collect(mapKeys(x.keys.secrets)), func(name string) bool { return name != "" }) {
		_, err = p.open(p.signWith(strange, wanted.lines))
		assert.Error(t, err, "%s: signed by a stranger", kind)
	}

	for _, l := range wanted.lines {
		if l.Words[0] == "verify" {
			p.draft.at(l.Words[1], "")
		}
	}
	_, err = p.open(p.message())
	assert.Contains(t, []scheme.Reason{scheme.Unsigned, scheme.Invalid, scheme.BadSignature, scheme.Decryption}, scheme.ReasonOf(err), "%s: without its signature: %v", kind, err)

	p.draft = d
	genuine = p.sign(x.keys.provider, wanted.lines)
	for _, edit := range []func(m *message.Message) bool{
		func(m *message.Message) bool {
			was := m.Wire
			m.Wire = bytes.Replace(m.Wire, []byte("100.00"), []byte("900.00"), 1)
			return !bytes.Equal(was, m.Wire) && p.mirror == nil && p.covers("amount")
		},
		func(m *message.Message) bool {
			m.Header.Add("Signature-Twin", "x")
			for name := range m.Header {
				if slices.ContainsFunc(wanted.lines, func(l recipe.Line) bool {
					return l.Words[0] == "verify" && strings.EqualFold(l.Words[1], "header."+name)
				}) {
					m.Header.Add(name, m.Header.Get(name))
					return true
				}
			}
			return false
		},
	} {
		m := *genuine
		m.Header = genuine.Header.Clone()
		if edit(&m) {
			_, err = p.open(&m)
			assert.Error(t, err, "%s: changed: %s", kind, m.Wire)
		}
	}
}

func mapKeys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

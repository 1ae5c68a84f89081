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

// request is a plain request of an application.
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
	text := string(sealed.Hole())
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

// where is what a request that leaves has at a place.
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

// macKey is the key of a MAC, as the secret is written.
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
	if kinds := x.program.KeyKinds(); kinds[keys.Verify] != "" {
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

// provider has a message that the provider has not signed yet.
func (x *exchanger) provider(kind message.Kind) *provider {
	wanted := scan(x.recipe, kind, x.settings)
	p := &provider{
		exchanger: x, kind: kind, wanted: wanted, draft: wanted.message(kind, x.now, x.keys.certificate),
		direction: x.direction(kind), mirror: mirror(x.t, x.name, wanted.lines),
	}
	for _, l := range wanted.lines {
		if path, ok := strings.CutPrefix(l.Words[min(1, len(l.Words)-1)], "body."); ok && l.Words[0] == "verify" {
			parsed, err := body.ParsePath(path)
			require.NoError(x.t, err)
			p.places = append(p.places, parsed)
		}
		p.before = p.before || slices.Contains(l.Words, "before")
	}
	return p
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

func (x *exchanger) direction(kind message.Kind) *scheme.Direction {
	if kind == message.Notification {
		return x.program.Describe().Notification
	}
	return x.program.Describe().Answer
}

// provider signs answers and notifications as the recipe says that they are signed.
type provider struct {
	*exchanger
	kind      message.Kind
	wanted    *reads
	draft     *draft
	direction *scheme.Direction
	mirror    *recipe.Program // encrypts as the provider does
	before    bool            // what is signed is the plaintext
	envelope  *message.Message
	places    []body.Path // of signatures, in the payload
}

// covers reports whether a signature covers each member of that name.
func (p *provider) covers(name string) bool {
	found, all := 0, 0
	var walk func(members map[string]any, at body.Path)
	walk = func(members map[string]any, at body.Path) {
		for n, value := range members {
			path := append(slices.Clone(at), n)
			if inner, ok := value.(map[string]any); ok {
				walk(inner, path)
			} else if n == name {
				if all++; p.direction.Covers(path) {
					found++
				}
			}
		}
	}
	walk(p.draft.payload, nil)
	return found > 0 && found == all
}

// message is the draft as it travels, encrypted.
func (p *provider) message() *message.Message {
	f := p.direction.Format
	if p.mirror == nil {
		return p.draft.write(p.t, f, nil)
	}
	m := message.New(message.Request)
	m.Method, m.Path = "POST", "/"
	o, err := body.Parse(tree(p.t, p.draft.payload).Text())
	require.NoError(p.t, err)
	m.SetPayload(o)
	if p.envelope == nil || p.before { // what is signed is the ciphertext, or else the plaintext
		sealed, err := scheme.Seal(p.mirror, scheme.Request{Message: m, Keys: p.keys.provider, Now: p.now})
		require.NoError(p.t, err, "encrypting as the provider does")
		p.envelope = sealed.Message
	}
	for _, path := range p.places {
		if p.envelope.Payload == nil {
			continue
		}
		p.envelope.Payload.Remove(path)
		if value, ok := tree(p.t, p.draft.payload).Get(path); ok && !value.IsEmpty() {
			require.NoError(p.t, p.envelope.Payload.Set(path, value.Raw()))
		}
	}
	return p.draft.write(p.t, f, p.envelope)
}

func (p *provider) incoming(m *message.Message, set *keys.Set) (*scheme.Incoming, error) {
	in := &scheme.Incoming{Message: m.Fresh(), Keys: set, Now: p.now}
	if p.kind == message.Answer {
		in.Request = p.sealed
	}
	in.Message.Wire = bytes.Clone(m.Wire)
	return in, p.direction.Format.Read(in.Message)
}

func (p *provider) open(m *message.Message) (*scheme.Verified, error) {
	in, err := p.incoming(m, p.keys.merchant)
	if err != nil {
		return nil, scheme.Failf(scheme.Invalid, "%w", err)
	}
	return scheme.Open(p.program, *in)
}

// sign makes the signatures one after the other, each over what stands before it.
func (p *provider) sign(set *keys.Set, lines []recipe.Line) *message.Message {
	return p.signWith(set, lines)
}

func (p *provider) signWith(set *keys.Set, lines []recipe.Line) *message.Message {
	for _, l := range lines {
		if l.Words[0] == "verify" {
			p.draft.at(l.Words[1], written(l, "AAAA"))
		}
	}
	i := 0
	for _, l := range lines {
		if l.Words[0] != "verify" {
			continue
		}
		in, err := p.incoming(p.message(), p.keys.merchant)
		require.NoError(p.t, err, "%s", in.Message.Wire)
		signatures, err := p.program.Covers(in)
		require.NoError(p.t, err, "%s", in.Message.Wire)
		s := signatures[i]
		i++
		p.draft.at(l.Words[1], written(l, p.made(set, s)))
	}
	return p.message()
}

// written is a signature as a verify with as <template> reads it.
func written(l recipe.Line, signature string) string {
	if len(l.Words) == 7 {
		return strings.ReplaceAll(l.Words[6], "{signature}", signature)
	}
	return signature
}

// made is a signature over a text.
func (p *provider) made(set *keys.Set, s scheme.Signature) string {
	t := p.t
	secret := set.NamedSecret(s.Key)
	text := s.Text.Canonical
	var err error
	if s.Text.With != nil {
		text, err = s.Text.With(set.NamedSecret)
		require.NoError(t, err)
	}
	var raw []byte
	if s.Algorithm.Kind() == algorithm.Public {
		key := set.SignKey("")
		require.NotNil(t, key)
		raw, err = s.Algorithm.Sign(key.Signer, text, s.Options)
		require.NoError(t, err)
		return s.Encoding.Encode(raw)
	}
	var key []byte
	if secret != nil {
		key = secret.Bytes()
		if s.Derive != nil && set == p.keys.provider {
			key, err = s.Derive(key)
			require.NoError(t, err)
		}
	}
	return s.Encoding.Encode(s.Algorithm.Sum(key, text))
}

// at puts a text where a signature stands; "" takes it away.
func (d *draft) at(place, text string) {
	kind, rest, _ := strings.Cut(place, ".")
	switch kind {
	case "header":
		name, part, ok := strings.Cut(rest, ".")
		if !ok {
			d.header[name] = text
			return
		}
		was := regexp.MustCompile(`,?`+part+`="[^"]*"`).ReplaceAllString(d.header[name], "")
		d.header[name] = strings.TrimPrefix(was+","+part+`="`+text+`"`, ",")
	case "query":
		d.query = slices.DeleteFunc(d.query, func(q [2]string) bool { return q[0] == rest })
		d.query = append(d.query, [2]string{rest, text})
	case "form":
		d.fields[rest] = text
	default:
		path, err := body.ParsePath(rest)
		if err != nil {
			panic(err)
		}
		into := d.payload
		remove(into, path)
		put(into, rest, text)
	}
}

func remove(into map[string]any, path body.Path) {
	for _, name := range path[:len(path)-1] {
		switch inner := into[name].(type) {
		case map[string]any:
			into = inner
		case []any:
			remove(inner[0].(map[string]any), path[slices.Index(path, name)+2:])
			return
		default:
			return
		}
	}
	delete(into, path[len(path)-1])
}

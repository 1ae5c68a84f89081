package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

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

func (x *exchanger) direction(kind message.Kind) *scheme.Direction {
	if kind == message.Notification {
		return x.program.Describe().Notification
	}
	return x.program.Describe().Answer
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

// message returns the draft as it travels, encrypted.
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

// written returns a signature as a verify with as <template> reads it.
func written(l recipe.Line, signature string) string {
	if i := slices.Index(l.Words, "as"); i > 4 {
		return strings.ReplaceAll(l.Words[i+1], "{signature}", signature)
	}
	return signature
}

// made returns a signature over a text.
func (p *provider) made(set *keys.Set, s scheme.Signature) string {
	t := p.t
	secret := set.NamedSecret(s.Key)
	text := s.Text.Canonical
	var err error
	if s.Text.With != nil {
		head, tail, err := s.Text.With(set.NamedSecret)
		require.NoError(t, err)
		text = slices.Concat(head, tail)
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

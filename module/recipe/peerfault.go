package recipe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Fault is a fault of a message that a peer sends. In every other respect the message
// is valid.
type Fault string

// The faults.
const (
	BadSignature Fault = "bad_signature" // well-formed, and not the right one
	WrongKey     Fault = "wrong_key"     // by a key or a secret that nobody agreed on
	Tampered     Fault = "tampered"      // a signed part was changed afterwards
	Unsigned     Fault = "unsigned"      // without its signatures
	Mismatch     Fault = "mismatch"      // genuine, and of another order
)

// signature makes one signature, with the fault.
func (o *outgoing) signature(s *signature) (string, error) {
	e, draft := o.env, *o.draft
	if o.fault == WrongKey {
		wrong, err := wrongKeys(o.keys, s)
		if err != nil {
			return "", err
		}
		e.keys, draft.Keys = wrong, wrong
	}
	made, err := s.make(&e)
	if err != nil {
		return "", err
	}
	if made.Role != "" {
		made.Role = mirrored(made.Role)
	}
	text, err := draft.Sign(made)
	if err != nil || o.fault != BadSignature {
		return text, err
	}
	raw, err := s.encoding.Decode([]byte(text))
	if err != nil || len(raw) == 0 {
		return "", i18n.Errorf("the signature does not decode")
	}
	raw[len(raw)-1] ^= 1
	return s.encoding.Encode(raw), nil
}

// wrongKeys returns the set with another key in the place of the one that signs.
func wrongKeys(set *keys.Set, s *signature) (*keys.Set, error) {
	wrong := *set
	if s.algorithm.Kind() != algorithm.Public {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)                                                       // it never fails
		secret := keys.NewSecret([]byte(hex.EncodeToString(raw)), "a wrong secret") // hex digits are Base64 as well
		wrong.Secret, wrong.VerifySecrets = secret, []*keys.Secret{secret}
		wrong.Named = make(map[string]*keys.Set, len(set.Named))
		for id, named := range set.Named {
			other := *named
			if other.Secret != nil {
				other.Secret, other.VerifySecrets = secret, []*keys.Secret{secret}
			}
			wrong.Named[id] = &other
		}
		return &wrong, nil
	}
	key := set.SignKey(s.id)
	if key == nil {
		return nil, scheme.Failf(scheme.NeedsKeys, "%w", set.Need(withID(keys.Sign, s.id)))
	}
	stranger, err := strangers[key.Kind]()
	if err != nil {
		return nil, i18n.Errorf("making a wrong key: %w", err)
	}
	other := *key
	other.Signer = stranger
	wrong.Sign = &other
	if s.id != "" {
		named := &keys.Set{Reference: set.Reference, Sign: &other}
		wrong.Named = map[string]*keys.Set{s.id: named}
	}
	return &wrong, nil
}

// strangers are keys that nobody agreed on, by their kinds, each made when it is
// first needed.
var strangers = map[string]func() (crypto.Signer, error){
	keys.KindRSA: sync.OnceValues(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }),
	keys.KindSM2: sync.OnceValues(func() (crypto.Signer, error) { return gm.GenerateKey() }),
	keys.KindECDSA: sync.OnceValues(func() (crypto.Signer, error) {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}),
	keys.KindEd25519: sync.OnceValues(func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}),
}

// mismatch names another order, where the request named one.
func (o *outgoing) mismatch(to *Received) error {
	if o.fault != Mismatch || o.m.Payload == nil || to == nil || to.Plain == nil {
		return nil
	}
	d := o.p.description
	request := body.NewTree(to.Plain)
	for _, path := range d.Match {
		m, ok := o.m.Payload.Get(path)
		if !ok || !m.IsScalar() || m.IsEmpty() {
			asked, there := scheme.RequestValue(request, path, d.Inside)
			if !there {
				continue
			}
			m = asked
		}
		if err := setThrough(o.m.Payload, path, another(m)); err != nil {
			return err
		}
	}
	return nil
}

// setThrough is ensure for a path that may lead through a string of JSON.
func setThrough(tree *body.Tree, path body.Path, raw []byte) error {
	for i := 1; i < len(path); i++ {
		m, ok := tree.Get(path[:i])
		if !ok || m.Kind() != body.String {
			continue
		}
		object, err := m.Inner()
		if err != nil {
			break
		}
		inner := body.NewTree(object)
		if err := setThrough(inner, path[i:], raw); err != nil {
			return err
		}
		return tree.SetString(path[:i], string(inner.Text()))
	}
	return ensure(tree, path, raw)
}

// tamper changes a signed part, after it was signed.
func (o *outgoing) tamper() error {
	if o.fault != Tampered {
		return nil
	}
	for _, s := range o.block.verifies {
		if o.tamperBody(s) || o.tamperRest(s) || o.tamperAbsent(s) {
			return nil
		}
	}
	return scheme.Failf(scheme.Invalid, "the message has no signed part that could be changed")
}

// tamperBody changes the first member that the signature covers.
func (o *outgoing) tamperBody(s *signature) bool {
	if n := len(o.whole); n > 0 && (s.text.covers.bytes || o.travels(s)) {
		o.whole = append(o.whole[:n-1:n-1], o.whole[n-1]^1)
		return o.wrap() == nil
	}
	if o.m.Payload == nil {
		return false
	}
	changed := false
	var walk func(tree *body.Tree, at body.Path)
	walk = func(tree *body.Tree, at body.Path) {
		for i, m := range tree.Members() {
			path := append(append(body.Path{}, at...), nameOf(tree, i, m))
			switch {
			case changed || len(path) > 8 || o.isSignature(path):
			case !m.IsScalar():
				if inner := tree.At(path[len(path)-1:]); inner != nil {
					walk(inner, path)
				}
			case !m.IsEmpty() && (s.text.covers.member(path) || o.travels(s) || o.lists(s, path)):
				changed = o.m.Payload.Set(path, another(m)) == nil
			}
		}
	}
	walk(o.m.Payload, nil)
	return changed && o.wrap() == nil
}

// lists reports whether the message lists a member among those that are signed.
func (o *outgoing) lists(s *signature, path body.Path) bool {
	by, part := s.text.build.listedBy, s.text.build.part
	if by == nil || part.kind != "body" || len(part.paths) > 0 || len(path) != 1 {
		return false
	}
	list, _ := o.m.Payload.Get(body.Path{by[0]})
	return slices.Contains(strings.FieldsFunc(string(list.Text()), func(r rune) bool { return strings.ContainsRune(",:;|+ ", r) }), path[0])
}

// travels reports whether the signature covers the field in which the payload
// travels.
func (o *outgoing) travels(s *signature) bool {
	w := o.block.format.Wrap
	return w != nil && s.text.covers.field(w.Field)
}

func (o *outgoing) isSignature(path body.Path) bool {
	for _, s := range o.block.verifies {
		if s.place.kind == "body" && s.place.path.Covers(path) || s.certificate != nil && s.certificate.kind == "body" && s.certificate.path.Covers(path) {
			return true
		}
	}
	return false
}

// tamperRest changes a parameter or a header that the signature covers.
func (o *outgoing) tamperRest(s *signature) bool {
	for _, name := range s.text.covers.queries {
		if path := (body.Path{name}); o.block.format.Kind == message.Query && o.m.Payload != nil {
			if m, ok := o.m.Payload.Get(path); ok && !m.IsEmpty() {
				return o.m.Payload.Set(path, another(m)) == nil
			}
		}
		if value, ok, err := o.m.Param(name); ok && err == nil {
			o.m.SetParam(name, value+"0")
			return true
		}
	}
	for _, name := range s.text.covers.headers {
		if value := o.m.Header.Get(name); value != "" && name != s.place.name {
			o.m.Header.Set(name, value+"0")
			return true
		}
	}
	return false
}

// tamperAbsent adds a member that the signature names and the message does not have.
func (o *outgoing) tamperAbsent(s *signature) bool {
	if o.m.Payload == nil {
		return false
	}
	for _, covered := range s.text.covers.parts {
		for _, name := range covered.names {
			path := append(slices.Clone(covered.path), strings.Replace(name, "*", "sandbox", 1))
			if _, ok := o.m.Payload.Get(path); !ok && !o.isSignature(path) && ensure(o.m.Payload, path, []byte(`"another"`)) == nil {
				return o.wrap() == nil
			}
		}
	}
	return false
}

// another returns a different value of the same type and a similar form.
func another(m body.Member) []byte {
	text := string(m.Text())
	if m.Kind() != body.String && m.Kind() != body.Number {
		return []byte(`"another"`)
	}
	if n := len(text); n > 0 && text[n-1] >= '0' && text[n-1] <= '9' {
		text = text[:n-1] + string('0'+(text[n-1]-'0'+1)%10)
	} else {
		text += "0"
	}
	if m.Kind() == body.Number && body.Valid([]byte(text)) == nil {
		return []byte(text)
	}
	return body.AppendQuote(nil, text)
}

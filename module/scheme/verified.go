package scheme

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

// Verified is an answer or a notification that has verified. Only Open makes one.
type Verified struct {
	message      *message.Message
	signatures   []Signature
	fingerprints []string
	part         string
	unsigned     bool
	note         string
	covers       func(body.Path) bool
}

// Body is the payload as JSON, decrypted and unwrapped: nil where the message
// has no payload.
func (v *Verified) Body() []byte {
	if v.message.Payload == nil {
		return nil
	}
	return v.message.Payload.Text()
}

// Revealed reports whether something in the payload was decrypted or unwrapped.
func (v *Verified) Revealed() bool {
	return v.message.Payload != nil && (v.message.Payload.Edited() || v.message.Inner != nil && v.message.Form == nil)
}

// Identity is a digest of what makes a notification the same when it is sent again:
// of the members that the rule names, of all signed members but those that it
// leaves out, or of everything that the signatures cover.
//
// It is injective: each name and each value stands in it behind its length. What the
// signatures leave open has no part in it, because whoever sends a copy may choose
// that: a value that no signature covers, an empty one, how a string is escaped,
// whether a number stands in quotes, and the order of members.
func (v *Verified) Identity(rule NotifyRule) [sha256.Size]byte {
	h := sha256.New()
	add := func(text []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write(text)
	}
	add([]byte(v.part))
	named := false
	for _, path := range rule.Identity {
		m, ok := v.Member(path)
		add([]byte(path.String()))
		if ok && !m.IsEmpty() && v.covers != nil && v.covers(path) {
			named = true
			add(plain(m))
		}
	}
	if named {
		return [sha256.Size]byte(h.Sum(nil))
	}
	members := v.signedMembers(rule.IdentityExcept)
	if rule.IdentityExcept == nil || len(members) == 0 {
		for _, s := range v.signatures {
			add(s.Text.Canonical)
		}
	}
	for _, member := range members {
		add([]byte(member))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// signedMembers are the names and values of the members that the signatures cover,
// as they are after decryption, sorted, so that their order does not matter.
func (v *Verified) signedMembers(except []string) []string {
	if v.message.Payload == nil || v.covers == nil {
		return nil
	}
	var all []string
	var walk func(tree *body.Tree, path body.Path)
	walk = func(tree *body.Tree, path body.Path) {
		for i, m := range tree.Members() {
			name := string(m.Name())
			if tree.IsList() {
				name = strconv.Itoa(i)
			}
			at := append(slices.Clone(path), name)
			switch {
			case m.IsEmpty() || len(at) > 2 || slices.Contains(except, name): // what is empty is in no signature
			case v.covers(at):
				all = append(all, strconv.Itoa(len(name))+":"+at.String()+string(plain(m)))
			case !m.IsScalar():
				if inner := tree.At(body.Path{name}); inner != nil {
					walk(inner, at)
				}
			}
		}
	}
	walk(v.message.Payload, nil)
	slices.Sort(all)
	return all
}

// plain is a value as it reads however it is written: the text of a scalar, and of
// an object or a list the same of what is in it. Its first character tells which.
func plain(m body.Member) []byte {
	if m.IsScalar() {
		return append([]byte("="), m.Text()...)
	}
	var pieces []string
	list := m.Kind() == body.Array
	each := func(name string, value body.Member) bool {
		if !value.IsEmpty() {
			text := plain(value)
			pieces = append(pieces, fmt.Sprintf("%d:%s%d:%s", len(name), name, len(text), text))
		}
		return true
	}
	if o, ok := m.Object(); ok {
		for _, inner := range o.Members() {
			each(string(inner.Name()), inner)
		}
		slices.Sort(pieces)
	}
	i := 0
	for element := range m.Elements {
		each(strconv.Itoa(i), element)
		i++
	}
	if list {
		return []byte("[" + strings.Join(pieces, ""))
	}
	return []byte("{" + strings.Join(pieces, ""))
}

// Wire is the body as it came.
func (v *Verified) Wire() []byte { return v.message.Wire }

// Member is the value of the payload at a path.
func (v *Verified) Member(path body.Path) (body.Member, bool) {
	if v.message.Payload == nil {
		return body.Member{}, false
	}
	return v.message.Payload.Get(path)
}

// Message is a copy of the message, as it verified.
func (v *Verified) Message() message.Message { return *v.message }

// Canonical is what the signatures cover, without secrets. Where there are
// several they stand one after another, each behind its length.
func (v *Verified) Canonical() []byte {
	if len(v.signatures) == 1 {
		return v.signatures[0].Text.Canonical
	}
	var all []byte
	for _, s := range v.signatures {
		all = append(all, s.Text.Canonical...)
		all = append(all, '\n')
	}
	return all
}

// Hole is the text that was digested, with {secret} where a secret stands.
func (v *Verified) Hole() []byte {
	if len(v.signatures) == 0 {
		return nil
	}
	return v.signatures[len(v.signatures)-1].Text.hole()
}

// Fingerprints are those of the keys that were used, the signature's first.
func (v *Verified) Fingerprints() []string { return v.fingerprints }

// Part names what the signatures cover: "*", or names of members.
func (v *Verified) Part() string { return v.part }

// IsUnsigned says that the provider's own rule lets this answer be without a
// signature. Nothing in it was verified, decrypted or unwrapped.
func (v *Verified) IsUnsigned() bool { return v.unsigned }

// Note says what could not be done with the message where its request is not
// known; or it is "".
func (v *Verified) Note() string { return v.note }

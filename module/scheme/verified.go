package scheme

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
)

// Verified is a verified answer or notification. Only Open makes one.
type Verified struct {
	message      *message.Message
	signatures   []Signature
	fingerprints []string
	part         string
	unsigned     bool
	sealed       bool // the payload was encrypted as a whole
	note         i18n.Text
	covers       func(body.Path) bool
}

// Body returns the payload as JSON, decrypted and unwrapped, or nil if the message has
// no payload.
func (v *Verified) Body() []byte {
	if v.message.Payload == nil {
		return nil
	}
	return v.message.Payload.Text()
}

// Revealed reports whether something in the payload was decrypted or unwrapped.
func (v *Verified) Revealed() bool {
	return v.message.Payload != nil && (v.sealed || v.message.Payload.Edited() || v.message.Inner != nil && v.message.Form == nil)
}

// Identity returns the SHA-256 by which a repeated notification is recognised. It is
// computed over the members that the rule names, over all signed members but those that
// the rule excepts, or over everything that the signatures cover.
//
// Each name and each value is preceded by its length, so that different members never
// give the same input. The input excludes everything that a sender could change without
// breaking the signature: unsigned values, empty values, the escapes of a string, the
// quotes around a number, and the order of members.
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

// signedMembers returns the names and values of the members that the signatures cover,
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
			case m.IsEmpty() || len(at) > 2 || slices.Contains(except, name): // no signature covers empty values
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

// plain returns a value in a form that does not depend on how it is escaped or quoted:
// the decoded text of a scalar, and recursively that of an object or a list. The first
// character says which of the three it is.
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

// Wire returns the body as it was received.
func (v *Verified) Wire() []byte { return v.message.Wire }

// Member returns the value of the payload at a path, and whether there is one.
func (v *Verified) Member(path body.Path) (body.Member, bool) {
	if v.message.Payload == nil {
		return body.Member{}, false
	}
	return v.message.Payload.Get(path)
}

// Message returns a copy of the verified message.
func (v *Verified) Message() message.Message { return *v.message }

// Canonical returns the canonical strings of the signatures, without secrets. Where
// there are several, each is preceded by its length.
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

// Redacted returns the text that was digested for the last signature, with {secret} in
// place of each secret.
func (v *Verified) Redacted() []byte {
	if len(v.signatures) == 0 {
		return nil
	}
	return v.signatures[len(v.signatures)-1].Text.redacted()
}

// Fingerprints returns the fingerprints of the keys that were used, those of signatures
// first.
func (v *Verified) Fingerprints() []string { return v.fingerprints }

// Part returns what the signatures cover: "*", or names of members.
func (v *Verified) Part() string { return v.part }

// IsUnsigned reports whether the provider's rule allows this answer to have no
// signature. Nothing in it was verified, decrypted or unwrapped.
func (v *Verified) IsUnsigned() bool { return v.unsigned }

// Note returns the sentence that Incoming.Note has recorded: the step that was skipped
// because the request of the message is not known. It returns "" if there is none.
func (v *Verified) Note() i18n.Text { return v.note }

package diagnosis

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// held is a public key of the set.
type held struct {
	what  any // a role, or words for it
	key   *keys.PublicKey
	right bool // it is one of those that verify
}

// publicKeys returns those that verify, and then all others of the set.
func (d *examination) publicKeys() []held {
	var all []held
	add := func(what any, right bool, key *keys.PublicKey) {
		if key.Key != nil && !slices.ContainsFunc(all, func(h held) bool { return h.key.Fingerprint == key.Fingerprint }) {
			all = append(all, held{what, key, right})
		}
	}
	set := d.in.Keys
	for _, key := range set.VerifyKeys(d.signature.Key) {
		add("verify", true, key)
	}
	for _, key := range set.VerifyKeys("") {
		add(i18n.T("verify with another id"), false, key)
	}
	if set.Encrypt != nil {
		add("encrypt", false, set.Encrypt)
	}
	own := func(what any, key *keys.PrivateKey) {
		add(what, false, &keys.PublicKey{Key: key.Key, RSA: key.Public, Kind: key.Kind, Fingerprint: key.Fingerprint})
	}
	if set.Sign != nil {
		own(i18n.T("your own sign"), set.Sign)
	}
	for _, key := range set.Decrypt {
		own(i18n.T("your own decrypt"), key)
	}
	return all
}

// examinePublic examines signatures from which the digest cannot be recovered, unlike
// RSA's: it verifies our text with every key, and the variants of the text with the
// keys that verify.
func (d *examination) examinePublic(raw []byte) i18n.Text {
	all := d.publicKeys()
	for _, h := range all {
		if d.made(h, raw, d.signature.Text.Canonical) {
			return d.found(h, i18n.Text{}, variant{})
		}
	}
	for _, h := range all {
		if words := d.otherForm(h, raw); !words.IsZero() {
			return d.found(h, words, variant{})
		}
	}
	for _, h := range all {
		if !h.right {
			continue
		}
		for v := range d.variants() {
			if !v.words.IsZero() && d.made(h, raw, v.text) {
				return d.found(h, i18n.Text{}, v)
			}
		}
	}
	return i18n.T("the signature can be read, and was made with another key or over another text than ours")
}

// otherForm finds an SM2 signature whose bytes are in the other form, or that was made
// under the default user id where the recipe has another one.
func (d *examination) otherForm(h held, raw []byte) i18n.Text {
	s := d.signature
	configured := s.Algorithm.Name()
	if s.Algorithm.KeyKind() != keys.KindSM2 || h.key.Kind != keys.KindSM2 {
		return i18n.Text{}
	}
	for _, name := range []string{configured, "sm2", "sm2-rs"} {
		other, err := algorithm.Named(name)
		if err != nil {
			continue
		}
		for _, uid := range [][]byte{s.Options.UID, nil} {
			switch {
			case !d.budget.spend(publicKey) || !other.Verify(h.key.Key, s.Text.Canonical, raw, algorithm.Options{UID: uid}):
			case name != configured:
				return i18n.T("the signature is %s and the recipe has %s", name, configured)
			default:
				return i18n.T("it was made under the user id %s, and the recipe has another one", gm.DefaultUID)
			}
		}
	}
	return i18n.Text{}
}

// made reports whether a key has made a signature over a text.
func (d *examination) made(h held, raw, text []byte) bool {
	s := d.signature
	return d.budget.spend(publicKey) && s.Algorithm.Verify(h.key.Key, text, raw, s.Options)
}

// found returns the result: the key that made the signature, the hash if it is another
// one, and the text.
func (d *examination) found(h held, hash i18n.Text, v variant) i18n.Text {
	switch {
	case !h.right && v.words.IsZero() && hash.IsZero():
		return i18n.T("the signature was made with the key that stands in the role %s, and that key is not among those that verify", h.what)
	case !h.right:
		return i18n.T("the signature was made with the key that stands in the role %s, which is not among those that verify%s%s", h.what, and(hash), and(v.words))
	case !hash.IsZero() && v.words.IsZero():
		return i18n.T("the key and the text are right, but %s", hash)
	case !v.words.IsZero():
		return i18n.T("the key is right, and the provider has signed the text %s%s", v.words, and(hash))
	}
	return i18n.Text{}
}

func and(words i18n.Text) i18n.Text {
	if words.IsZero() {
		return i18n.Text{}
	}
	return i18n.T(", %s", words)
}

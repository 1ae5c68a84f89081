package diagnosis

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // providers sign with it, and what they did is to be recognised
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// sums are the digests that providers take, plain or as HMAC.
var sums = []struct {
	name string
	make func() hash.Hash
}{
	{"md5", md5.New}, {"sha1", sha1.New}, {"sha256", sha256.New}, {"sm3", gm.NewSM3}, {"sha512", sha512.New},
}

// maxKeyed is how long a text may be of which other sums are made, in bytes.
const maxKeyed = 16 << 10

// otherSum finds a signature that was made with the secret, but with another digest
// than the recipe has, or with the secret in another place. It returns no text where
// it finds none.
func (d *examination) otherSum(raw []byte) i18n.Text {
	s := d.signature
	text := s.Text.Canonical
	if len(text) > maxKeyed || s.Derive != nil || bytes.Contains(text, []byte("\x00")) {
		return i18n.Text{}
	}
	for _, secret := range d.in.Keys.Secrets(s.Key) {
		own, ok := d.with(text, secret)
		if !ok {
			return i18n.Text{}
		}
		key := secret.Bytes()
		for _, p := range d.placed(text, own, key) {
			for _, sum := range sums {
				if !d.budget.spend(2 * len(p.text)) {
					return i18n.Text{}
				}
				plain := sum.make()
				if plain.Size() != len(raw) {
					continue
				}
				plain.Write(p.text)
				mac := hmac.New(sum.make, key)
				mac.Write(p.text)
				switch {
				case p.bare && hmac.Equal(plain.Sum(nil), raw):
					return i18n.T("the signature is %s of the text without the secret: anybody can make it", sum.name)
				case hmac.Equal(plain.Sum(nil), raw):
					return d.otherSumWords(sum.name, p.words)
				case hmac.Equal(mac.Sum(nil), raw):
					return d.otherSumWords("hmac-"+sum.name, p.words)
				}
			}
		}
	}
	return i18n.Text{}
}

// otherSumWords returns the name of the sum, if it is another one, and of the text.
func (d *examination) otherSumWords(name string, place i18n.Text) i18n.Text {
	configured := d.signature.Algorithm.Name()
	switch {
	case place.IsZero():
		return i18n.T("the secret and the text are right, but the signature is %s and the recipe has %s", name, configured)
	case name == configured:
		return i18n.T("the secret is right, and the provider has signed the text %s", place)
	}
	return i18n.T("the secret is right, and the provider has signed the text %s; the signature is %s and the recipe has %s", place, name, configured)
}

// placing is a text and a secret, put together in one way.
type placing struct {
	text  []byte
	words i18n.Text // how it differs; none for the way that the recipe has
	bare  bool      // the secret is not in it
}

// placed returns a text and a secret, put together as providers do.
func (d *examination) placed(text, own, key []byte) []placing {
	text = bytes.TrimSuffix(text, []byte("&"))
	join := func(parts ...string) []byte {
		var out []byte
		for _, p := range parts {
			switch p {
			case "T":
				out = append(out, text...)
			case "K":
				out = append(out, key...)
			default:
				out = append(out, p...)
			}
		}
		return out
	}
	all := []placing{
		{own, i18n.Text{}, false},
		{join("T", "&key=", "K"), i18n.T("with %s at its end", "&key=<secret>"), false},
		{join("T", "K"), i18n.T("with %s at its end", "<secret>"), false},
		{join("T", "&", "K"), i18n.T("with %s at its end", "&<secret>"), false},
		{join("T", "&secret=", "K"), i18n.T("with %s at its end", "&secret=<secret>"), false},
		{join("T", "&KEY=", "K"), i18n.T("with %s at its end", "&KEY=<secret>"), false},
		{join("T", "key=", "K"), i18n.T("with %s at its end", "key=<secret>"), false},
		{join("K", "T"), i18n.T("with %s in front of it", "<secret>"), false},
		{join("K", "&", "T"), i18n.T("with %s in front of it", "<secret>&"), false},
		{join("key=", "K", "&", "T"), i18n.T("with %s in front of it", "key=<secret>&"), false},
		{join("K", "T", "K"), i18n.T("with the secret in front of it and at its end"), false},
	}
	if d.signature.Algorithm.Kind() == algorithm.Digest || !bytes.Equal(text, own) {
		all = append(all, placing{bytes.Clone(text), i18n.T("without the secret in it"), true})
	}
	return slices.DeleteFunc(all, func(v placing) bool { return !v.words.IsZero() && bytes.Equal(v.text, own) })
}

// examineSum looks at plain digests and MACs.
func (d *examination) examineSum(raw []byte) i18n.Text {
	s := d.signature
	if size := len(s.Algorithm.Sum([]byte("k"), nil)); len(raw) != size {
		if words := d.otherSum(raw); !words.IsZero() {
			return words
		}
		return i18n.T("the signature has %d bytes%s, and %s makes %d", len(raw), sizeOf[len(raw)], s.Algorithm.Name(), size)
	}
	for v := range d.variants() {
		words, ok := d.sumOf(raw, v)
		switch {
		case !ok:
		case !words.IsZero():
			return i18n.T("the signature is right for %s%s", words, and(v.words))
		case !v.words.IsZero():
			return i18n.T("the secret is right, and the provider has signed the text %s", v.words)
		default:
			return i18n.Text{}
		}
	}
	if words := d.otherSum(raw); !words.IsZero() {
		return words
	}
	return i18n.T("the signature has the right form, and was made with another secret or over another text than ours")
}

var sizeOf = map[int]i18n.Text{16: i18n.T(", as MD5 makes"), 20: i18n.T(", as SHA-1 makes"), 32: i18n.T(", as SHA-256 and SM3 make"), 64: i18n.T(", as SHA-512 makes")}

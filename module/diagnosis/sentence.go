// Package diagnosis says in one sentence why the signature of a message that came
// in does not verify. The sentence goes into a log, so it names members, keys'
// roles and algorithms, and never a value, a key or a signature.
//
// Nothing here decides whether a message is genuine.
package diagnosis

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The bounds of one diagnosis: whoever sends forged messages must not be able to
// keep a processor busy with them.
const (
	maxTime  = 2 * time.Millisecond
	maxBytes = 1 << 20 // digested
)

// Sentence says why a message was not opened, where err is what scheme.Open
// returned for it. It returns "" where the error is not about the signature, or
// nothing can be said. It takes about two milliseconds at most.
func Sentence(s scheme.Scheme, in scheme.Incoming, err error) string {
	if scheme.ReasonOf(err) != scheme.BadSignature || in.Message == nil || in.Keys == nil {
		return ""
	}
	in.Message = in.Message.Fresh()
	signatures, err := s.Covers(&in)
	if err != nil {
		return ""
	}
	b := &budget{until: time.Now().Add(maxTime), bytes: maxBytes}
	for _, signature := range signatures {
		d := &examination{in: &in, signature: signature, budget: b}
		for _, value := range signature.Values {
			if text := d.examine(value); text != "" {
				return text
			}
		}
	}
	return ""
}

// budget bounds the work.
type budget struct {
	until time.Time
	bytes int
}

// spend reports whether a text of n bytes may still be digested.
func (b *budget) spend(n int) bool {
	b.bytes -= n
	return b.bytes > 0 && time.Now().Before(b.until)
}

// examination is that of one signature.
type examination struct {
	in        *scheme.Incoming
	signature scheme.Signature
	budget    *budget
}

func (d *examination) examine(value string) string {
	raw, err := d.signature.Encoding.Decode([]byte(value))
	if err != nil || len(raw) == 0 {
		return d.malformed(value)
	}
	if words := d.otherEncoding(value, raw); words != "" {
		return words
	}
	switch {
	case d.signature.Certificate != nil:
		return ""
	case d.signature.Algorithm.Kind() != algorithm.Public:
		return d.examineSum(raw)
	case d.signature.Algorithm.KeyKind() == keys.KindRSA:
		return d.examineRSA(raw)
	}
	return d.examinePublic(raw)
}

// verifies reports whether a signature is that of the text as the recipe makes it.
func (d *examination) verifies(raw []byte) bool {
	s := d.signature
	if s.Algorithm.Kind() != algorithm.Public {
		_, ok := d.sumOf(raw, variant{text: s.Text.Canonical})
		return ok
	}
	return slices.ContainsFunc(d.in.Keys.VerifyKeys(s.Key), func(k *keys.PublicKey) bool {
		return s.Algorithm.Verify(k.Key, s.Text.Canonical, raw, s.Options)
	})
}

// held is a public key of the set.
type held struct {
	what  string
	key   *keys.PublicKey
	right bool // it is one of those that verify
}

// publicKeys are those that verify, and then all others of the set.
func (d *examination) publicKeys() []held {
	var all []held
	add := func(what string, right bool, key *keys.PublicKey) {
		if key.Key != nil && !slices.ContainsFunc(all, func(h held) bool { return h.key.Fingerprint == key.Fingerprint }) {
			all = append(all, held{what, key, right})
		}
	}
	set := d.in.Keys
	for _, key := range set.VerifyKeys(d.signature.Key) {
		add("verify", true, key)
	}
	for _, key := range set.VerifyKeys("") {
		add("verify with another id", false, key)
	}
	if set.Encrypt != nil {
		add("encrypt", false, set.Encrypt)
	}
	own := func(what string, key *keys.PrivateKey) {
		add(what, false, &keys.PublicKey{Key: key.Key, RSA: key.Public, Kind: key.Kind, Fingerprint: key.Fingerprint})
	}
	if set.Sign != nil {
		own("your own sign", set.Sign)
	}
	for _, key := range set.Decrypt {
		own("your own decrypt", key)
	}
	return all
}

// examinePublic looks at signatures that cannot be opened, as RSA's can.
func (d *examination) examinePublic(raw []byte) string {
	s := d.signature
	for _, h := range d.publicKeys() {
		for v := range d.variants() {
			if s.Algorithm.Verify(h.key.Key, v.text, raw, s.Options) {
				return d.found(h, "", v)
			}
		}
	}
	return ""
}

// found says what was found out: by which key the signature was made, with which
// hash if that is another one, and over which text.
func (d *examination) found(h held, hash string, v variant) string {
	switch {
	case !h.right && v.words == "" && hash == "":
		return fmt.Sprintf("the signature was made with the key that stands in the role %s, and that key is not among those that verify", h.what)
	case !h.right:
		return fmt.Sprintf("the signature was made with the key that stands in the role %s, which is not among those that verify%s%s", h.what, and(hash), and(v.words))
	case hash != "" && v.words == "":
		return "the key and the text are right, but " + hash
	case v.words != "":
		return "the key is right, and the provider has signed the text " + v.words + and(hash)
	}
	return ""
}

func and(words string) string {
	if words == "" {
		return ""
	}
	return ", " + words
}

// examineRSA opens the signature with each key of the set: what it holds tells
// the key, the hash and the digest of the text that was signed.
func (d *examination) examineRSA(raw []byte) string {
	configured := d.signature.Algorithm.Name()
	sizes := make(map[int]bool)
	for _, h := range d.publicKeys() {
		public, ok := h.key.Key.(*rsa.PublicKey)
		if !ok {
			continue
		}
		if h.right {
			sizes[public.Size()] = true
		}
		opened, ok := open(public, raw)
		if !ok {
			continue
		}
		if opened.pss {
			if configured != "rsa-pss-sha256" && h.right {
				return "the key is right, but the signature is padded with PSS, and the recipe has " + configured
			}
			continue
		}
		hash := ""
		if name := "rsa-" + opened.hash; name != configured {
			hash = fmt.Sprintf("the signature is %s and the recipe has %s", name, configured)
		}
		for v := range d.variants() {
			if opened.matches(v.text) {
				return d.found(h, hash, v)
			}
		}
		if h.right {
			return "the key is right, but the provider has signed another text than ours, and none that differs in one member, order, charset or escapes" + and(hash)
		}
		return d.found(h, hash, variant{words: "and another text than ours was signed"})
	}
	if len(sizes) > 0 && !sizes[len(raw)] {
		return fmt.Sprintf("the signature has %d bits, and no key that verifies has this size: it is cut off, or was made with another key", len(raw)*8)
	}
	return "no key of this set has made the signature: compare the fingerprint of the role verify with the provider's console"
}

// examineSum looks at plain digests and MACs.
func (d *examination) examineSum(raw []byte) string {
	s := d.signature
	if size := len(s.Algorithm.Sum([]byte("k"), nil)); len(raw) != size {
		return fmt.Sprintf("the signature has %d bytes%s, and %s makes %d", len(raw), sizeOf[len(raw)], s.Algorithm.Name(), size)
	}
	for v := range d.variants() {
		words, ok := d.sumOf(raw, v)
		switch {
		case !ok:
		case words != "":
			return "the signature is right for " + words + and(v.words)
		case v.words != "":
			return "the secret is right, and the provider has signed the text " + v.words
		default:
			return ""
		}
	}
	return "the signature has the right form, and was made with another secret or over another text than ours"
}

var sizeOf = map[int]string{16: ", as MD5 makes", 20: ", as SHA-1 makes", 32: ", as SHA-256 and SM3 make", 64: ", as SHA-512 makes"}

// Package diagnosis says in one sentence why the signature of a message that came
// in does not verify. The sentence goes into a log, so it names keys' roles and
// algorithms, and never a value, a key or a signature.
//
// Nothing here decides whether a message is genuine.
package diagnosis

import (
	"crypto/rsa"
	"encoding/hex"
	"regexp"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The bounds of one diagnosis: whoever sends forged messages must not be able to
// keep a processor busy with them. They count work and not time, so that the same
// message always has the same sentence.
const (
	maxWork   = 1 << 20  // in bytes that are digested
	publicKey = 16 << 10 // what an operation with a public key counts as
	maxVaried = 64 << 10 // of a text whose variants are tried, in bytes
	maxValue  = 16 << 10 // of a signature's text, in bytes

	perSecond = 10 // sentences for a log
)

// Sentence says why a message was not opened, where err is what scheme.Open
// returned for it. It returns "" where the error is not about the signature, or
// nothing can be said. It is for whoever has the message: it names members of it.
func Sentence(s scheme.Scheme, in scheme.Incoming, err error) i18n.Text {
	return sentence(s, in, err, true)
}

// Log makes sentences for a log, a few a second: a flood of forged messages costs
// no more than that, and their entries differ in nothing anyway.
type Log struct {
	limit *rate.Limiter
}

// NewLog returns a Log. Each handler has its own, so that forged notifications
// leave the sentences of payments alone.
func NewLog() *Log { return &Log{rate.NewLimiter(perSecond, perSecond)} }

// Sentence is as the function Sentence, and "" beyond the limit. A member that the
// provider has not signed is not named: whoever sends the message chooses its name.
func (l *Log) Sentence(s scheme.Scheme, in scheme.Incoming, err error) i18n.Text {
	if scheme.ReasonOf(err) != scheme.BadSignature || !l.limit.Allow() {
		return i18n.Text{}
	}
	return sentence(s, in, err, false)
}

// Field is the field of a log entry that holds a sentence; without one it adds
// nothing.
func Field(sentence i18n.Text) zap.Field {
	if sentence.IsZero() {
		return zap.Skip()
	}
	return zap.Stringer("diagnosis", sentence)
}

func sentence(s scheme.Scheme, in scheme.Incoming, err error, names bool) i18n.Text {
	if scheme.ReasonOf(err) != scheme.BadSignature || in.Message == nil || in.Keys == nil {
		return i18n.Text{}
	}
	in.Message = in.Message.Fresh()
	signatures, err := s.Covers(&in)
	if err != nil {
		return i18n.Text{}
	}
	left := budget(maxWork)
	for _, signature := range signatures {
		d := &examination{in: &in, signature: signature, budget: &left, names: names}
		if text := d.examineAll(); !text.IsZero() {
			return text
		}
	}
	return i18n.Text{}
}

// budget is the work that is left, in bytes that are digested.
type budget int

// spend reports whether a text of n bytes may still be digested.
func (b *budget) spend(n int) bool {
	*b -= budget(n)
	return !b.over()
}

func (b *budget) over() bool { return *b <= 0 }

// examination is that of one signature.
type examination struct {
	in        *scheme.Incoming
	signature scheme.Signature
	budget    *budget
	names     bool // members that are not signed may be named
}

// examineAll looks at each value that the signature has, of which one must verify.
func (d *examination) examineAll() i18n.Text {
	var found i18n.Text
	for _, value := range d.signature.Values {
		if value == "" {
			continue
		}
		if !d.budget.spend(len(value)) {
			break
		}
		text := d.examine(value)
		if text.IsZero() {
			return i18n.Text{} // it verifies, or nothing can be said
		}
		if found.IsZero() {
			found = text
		}
	}
	return found
}

func (d *examination) examine(value string) i18n.Text {
	if len(value) > maxValue {
		return i18n.T("the signature is longer than any")
	}
	raw, err := d.signature.Encoding.Decode([]byte(value))
	if err != nil || len(raw) == 0 {
		return d.malformed(value)
	}
	if words := d.otherEncoding(value); !words.IsZero() {
		return words
	}
	switch {
	case d.signature.Certificate != nil:
		return i18n.Text{}
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
		return d.budget.spend(publicKey) && s.Algorithm.Verify(k.Key, s.Text.Canonical, raw, s.Options)
	})
}

// held is a public key of the set.
type held struct {
	what  any // a role, or words for it
	key   *keys.PublicKey
	right bool // it is one of those that verify
}

// publicKeys are those that verify, and then all others of the set.
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

// examinePublic looks at signatures that cannot be opened, as RSA's can: with every
// key at our text, and with the right ones at those that differ from it.
func (d *examination) examinePublic(raw []byte) i18n.Text {
	all := d.publicKeys()
	for _, h := range all {
		if d.made(h, raw, d.signature.Text.Canonical) {
			return d.found(h, i18n.Text{}, variant{})
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

// made reports whether a key has made a signature over a text.
func (d *examination) made(h held, raw, text []byte) bool {
	s := d.signature
	return d.budget.spend(publicKey) && s.Algorithm.Verify(h.key.Key, text, raw, s.Options)
}

// found says what was found out: by which key the signature was made, with which
// hash if that is another one, and over which text.
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

// examineRSA opens the signature with each key of the set: what it holds tells
// the key, the hash and the digest of the text that was signed.
func (d *examination) examineRSA(raw []byte) i18n.Text {
	sizes := make(map[int]bool)
	for _, h := range d.publicKeys() {
		public, ok := h.key.Key.(*rsa.PublicKey)
		if !ok {
			continue
		}
		if h.right {
			sizes[public.Size()] = true
		}
		if !d.budget.spend(publicKey) {
			return i18n.Text{}
		}
		opened, ok := open(public, raw)
		if !ok {
			continue
		}
		return d.examineOpened(h, opened, raw)
	}
	if len(sizes) > 0 && !sizes[len(raw)] {
		return i18n.T("the signature has %d bits, and no key that verifies has this size: it is cut off, or was made with another key", len(raw)*8)
	}
	return i18n.T("no key of this set has made the signature: compare the fingerprint of the role verify with the provider's console")
}

// examineOpened says what a signature holds that was made with a key of the set.
func (d *examination) examineOpened(h held, o opened, raw []byte) i18n.Text {
	configured := d.signature.Algorithm.Name()
	var hash i18n.Text
	switch name := "rsa-" + o.hash; {
	case o.hash == "":
		hash = i18n.T("the signature names no hash and the recipe has %s", configured)
	case name != configured:
		hash = i18n.T("the signature is %s and the recipe has %s", name, configured)
	}
	for v := range d.variants() {
		if o.pss && hash.IsZero() && d.made(h, raw, v.text) || o.matches(v.text) {
			return d.found(h, hash, v)
		}
	}
	if !h.right {
		return d.found(h, hash, variant{words: i18n.T("and another text than ours was signed")})
	}
	if o.pss && !hash.IsZero() {
		return i18n.T("the key is right, but %s", hash)
	}
	text := i18n.T("the key is right, but the provider has signed another text than ours")
	if d.budget.over() || len(d.signature.Text.Canonical) > maxVaried {
		text = i18n.Join(text, i18n.T(", which is too long to look for the difference"))
	} else {
		text = i18n.Join(text, i18n.T(", and more differs than one member, the order, the charset or escapes"))
	}
	if o.digest != nil && d.signature.Text.With == nil {
		text = i18n.Join(text, i18n.T("; the digest that was signed is %s %s", o.hash, hex.EncodeToString(o.digest)))
	}
	return i18n.Join(text, and(hash))
}

// examineSum looks at plain digests and MACs.
func (d *examination) examineSum(raw []byte) i18n.Text {
	s := d.signature
	if size := len(s.Algorithm.Sum([]byte("k"), nil)); len(raw) != size {
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
	return i18n.T("the signature has the right form, and was made with another secret or over another text than ours")
}

var sizeOf = map[int]i18n.Text{16: i18n.T(", as MD5 makes"), 20: i18n.T(", as SHA-1 makes"), 32: i18n.T(", as SHA-256 and SM3 make"), 64: i18n.T(", as SHA-512 makes")}

// plainName is a member's name in which nobody's number stands.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z_.-]{0,31}$`)

// member is a member by its name where that may be told, or else by words.
func (d *examination) member(name string, words i18n.Text) i18n.Text {
	if d.names && name != "" {
		return i18n.T("the member %s", body.ShowName(name))
	}
	return words
}

// signedMember is a member that the provider has signed.
func (d *examination) signedMember(name string) i18n.Text {
	if plainName.MatchString(name) {
		return i18n.T("the member %s", name)
	}
	return d.member(name, i18n.T("one of its members"))
}

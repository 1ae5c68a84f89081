package diagnosis

import (
	"bytes"
	"crypto"
	_ "crypto/md5" //nolint:gosec // providers sign with it, and what they did is to be recognised
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // as above
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// opened is what an RSA signature holds.
type opened struct {
	pss    bool
	hash   string // as in the name of the algorithm: md5, sha1, sha256, sha384, sha512, pss-sha256; "" if it names none
	digest []byte
}

var hashes = []struct {
	name   string
	hash   crypto.Hash
	prefix []byte // of the DigestInfo, RFC 8017, section 9.2
}{
	{"sha256", crypto.SHA256, []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}},
	{"sha1", crypto.SHA1, []byte{0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14}},
	{"md5", crypto.MD5, []byte{0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04, 0x10}},
	{"sha512", crypto.SHA512, []byte{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40}},
	{"sha224", crypto.SHA224, []byte{0x30, 0x2d, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04, 0x05, 0x00, 0x04, 0x1c}},
	{"sha384", crypto.SHA384, []byte{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30}},
}

// open recovers the digest of an RSA signature with a public key, and reports whether
// that key has made it. No decision depends on it: crypto/rsa verifies, but does not
// return the digest of a signature that fails.
func open(public *rsa.PublicKey, signature []byte) (opened, bool) {
	size := public.Size()
	s := new(big.Int).SetBytes(signature)
	if len(signature) != size || public.E > 1<<17+1 || s.Cmp(public.N) >= 0 {
		return opened{}, false
	}
	em := new(big.Int).Exp(s, big.NewInt(int64(public.E)), public.N).FillBytes(make([]byte, size))
	if em[0] != 0 || em[1] != 1 {
		return openPSS(em, public.N.BitLen()-1)
	}
	at := 2
	for at < size && em[at] == 0xff {
		at++
	}
	if at < 10 || at+2 >= size || em[at] != 0 {
		return opened{}, false
	}
	for _, h := range hashes {
		if digest, ok := bytes.CutPrefix(em[at+1:], h.prefix); ok && len(digest) == h.hash.Size() {
			return opened{hash: h.name, digest: digest}, true
		}
	}
	if em[at+1] == 0x30 && int(em[at+2]) == size-at-3 { // a DigestInfo
		return opened{hash: "other"}, true
	}
	return opened{}, true
}

// openPSS recognises the padding of PSS, RFC 8017, section 9.1.2: of the digest it
// holds a digest only.
func openPSS(em []byte, bits int) (opened, bool) {
	em = em[len(em)-(bits+7)/8:]
	for _, h := range hashes {
		n := len(em) - h.hash.Size() - 1
		if n < 1 || em[len(em)-1] != 0xbc {
			continue
		}
		db := mask(em[:n], em[n:len(em)-1], h.hash)
		db[0] &= 0xff >> (8*len(em) - bits)
		// Zeros, a one, and the salt. About one of 10,000 signatures of another key has
		// that form by chance.
		if at := slices.IndexFunc(db, func(b byte) bool { return b != 0 }); at >= 0 && db[at] == 1 {
			return opened{pss: true, hash: "pss-" + h.name}, true
		}
	}
	return opened{}, false
}

// mask is MGF1, RFC 8017, appendix B.2.1, over masked bytes.
func mask(masked, seed []byte, hash crypto.Hash) []byte {
	out := make([]byte, 0, len(masked)+hash.Size())
	for counter := uint32(0); len(out) < len(masked); counter++ {
		sum := hash.New()
		sum.Write(seed)
		sum.Write(binary.BigEndian.AppendUint32(nil, counter))
		out = sum.Sum(out)
	}
	out = out[:len(masked)]
	subtle.XORBytes(out, out, masked)
	return out
}

// matches reports whether a text has the digest that was signed.
func (o opened) matches(text []byte) bool {
	for _, h := range hashes {
		if h.name == o.hash {
			sum := h.hash.New()
			sum.Write(text)
			return bytes.Equal(sum.Sum(nil), o.digest)
		}
	}
	return false
}

// examineRSA opens the signature with each key of the set, which gives the key, the
// hash and the digest of the text that was signed.
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
		if opened, ok := open(public, raw); ok {
			return d.examineOpened(h, opened, raw)
		}
		reversed := slices.Clone(raw)
		slices.Reverse(reversed)
		if opened, ok := open(public, reversed); ok && !opened.pss {
			words := i18n.T("the bytes of the signature are in reverse order, as Windows' CryptoAPI makes them")
			if opened.matches(d.signature.Text.Canonical) {
				words = i18n.Join(words, i18n.T("; apart from that it is right"))
			}
			return words
		}
	}
	if len(sizes) > 0 && !sizes[len(raw)] {
		return i18n.T("the signature has %d bits, and no key that verifies has this size: it is cut off, or was made with another key", len(raw)*8)
	}
	return i18n.T("no key of this set has made the signature: compare the fingerprint of the role verify with the provider's console")
}

// examineOpened returns a sentence about a signature that was made with a key of the
// set.
func (d *examination) examineOpened(h held, o opened, raw []byte) i18n.Text {
	configured := d.signature.Algorithm.Name()
	var hash i18n.Text
	switch name := "rsa-" + o.hash; {
	case o.hash == "other":
		hash = i18n.T("the signature names another hash than those that providers use and the recipe has %s", configured)
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

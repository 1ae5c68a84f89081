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
	"math/big"
	"slices"
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
	{"sha384", crypto.SHA384, []byte{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30}},
}

// open undoes an RSA signature with a public key, and reports whether that key has
// made it. It decides about nothing: crypto/rsa verifies, and does not tell what a
// signature that fails holds.
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
	if at < 10 || at == size || em[at] != 0 {
		return opened{}, false
	}
	for _, h := range hashes {
		if digest, ok := bytes.CutPrefix(em[at+1:], h.prefix); ok && len(digest) == h.hash.Size() {
			return opened{hash: h.name, digest: digest}, true
		}
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
		// Zeros, a one, and the salt. Of the signatures of another key one in ten
		// thousand looks like that.
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

// Package cipher encrypts members and bodies, and wraps the keys of envelopes,
// with the ciphers by the names that recipes call them.
//
// ECB, PKCS #1 v1.5 and unauthenticated CBC are what providers demand, not what anybody
// should choose: only the signature over the ciphertext authenticates the text, and a
// difference between the errors for good and for bad padding would allow decryption. So
// a message is decrypted only after its signature has verified, which is the caller's
// duty, and every failure to decrypt is [ErrDecrypt].
package cipher

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Kind says what a cipher is keyed with.
type Kind int

// The kinds.
const (
	Symmetric  Kind = iota // a secret: Encrypt and Decrypt
	Asymmetric             // a pair of keys: EncryptTo and DecryptWith
)

// ErrDecrypt is the one error for everything that can be wrong with a
// ciphertext, its key or its parameters. Telling the causes apart would be an
// oracle.
var ErrDecrypt = i18n.Errorf("the ciphertext does not decrypt")

// The paddings of ECB and CBC. Space and Zero cannot be removed exactly; they
// serve texts such as JSON, where white space at the end does not matter.
// PKCS7Wide fills blocks of 32 bytes, and reads what fills the cipher's own too.
const (
	PadPKCS7     = "pkcs7"
	PadPKCS7Wide = "pkcs7-32"
	PadZero      = "zero"
	PadSpace     = "space"
	PadNone      = "none"
)

// Params are what a recipe says beside a cipher's name. A cipher ignores what it does
// not have: [Cipher.Check] refuses it when a recipe is loaded.
type Params struct {
	// Padding of ECB and CBC: pkcs7 (default), pkcs7-32, zero, space or none.
	Padding string
	// IV is the first block of CBC, as long as [Cipher.IVSize]. For GCM it
	// serves where Nonce is empty.
	IV []byte
	// IVPrepended says that the IV of CBC, or the nonce of GCM (12 bytes), stands
	// before the ciphertext: a fresh one is made for each text.
	IVPrepended bool
	// Nonce and AAD, the additional data, are GCM's. A nonce has 12 bytes or
	// more, and must never be used twice under a key.
	Nonce, AAD []byte
	// Order of the parts of an SM2 ciphertext: c1c3c2 (default), c1c2c3, or asn1.
	Order string
	// Binary says that the plaintext need not be UTF-8: for GBK, and for keys.
	Binary bool
}

// Cipher is a cipher with its mode of operation. [Named] makes it; the zero
// value is not usable.
type Cipher struct {
	name string
	kind Kind
	weak string
	symmetric
	asymmetric
}

// Named returns the cipher of a name:
//
//	aes-128-ecb aes-128-cbc aes-128-gcm ...  aes-192, aes-256 alike
//	aes-ecb aes-cbc aes-gcm                  with the size of the key that is there
//	3des-ecb 3des-cbc                        keys of 24 bytes, or of 16: the first 8 are repeated
//	sm4-ecb sm4-cbc
//	rsa-pkcs1                                PKCS #1 v1.5, blockwise where the text is longer than one block
//	rsa-oaep-sha1 rsa-oaep-sha256            MGF1 with the same digest; blockwise too
//	sm2                                      GB/T 32918.4
func Named(name string) (Cipher, error) {
	names := make([]string, len(ciphers))
	for i, c := range ciphers {
		if c.name == name {
			return c, nil
		}
		names[i] = c.name
	}
	return Cipher{}, i18n.Errorf("unknown cipher %q: write one of %s", name, strings.Join(names, ", "))
}

// Name returns the name by which a recipe calls the cipher.
func (c Cipher) Name() string { return c.name }

// Kind returns what the cipher is keyed with.
func (c Cipher) Kind() Kind { return c.kind }

// Weak returns a sentence that says why the cipher should not be chosen where
// there is a choice, and "" if nothing is known against it.
func (c Cipher) Weak() string { return c.weak }

// KeySize returns the length of the key in bytes. It returns 0 where the length of the
// given key selects the variant, and for an [Asymmetric] cipher.
func (c Cipher) KeySize() int { return c.keySize }

// TakesKey reports whether a key of n bytes is one of the cipher's.
func (c Cipher) TakesKey(n int) bool {
	if c.kind != Symmetric {
		return false
	}
	_, err := c.newBlock(make([]byte, n))
	return err == nil
}

// KeyKind returns the kind of key that an [Asymmetric] cipher needs: "RSA",
// "SM2", or "" for the others.
func (c Cipher) KeyKind() string { return c.keyKind }

// IVSize returns the length of the IV of CBC, or of GCM's nonce, in bytes, and 0
// for the others.
func (c Cipher) IVSize() int {
	switch c.mode {
	case cbc:
		return c.blockSize
	case gcm:
		return nonceSize
	}
	return 0
}

// Check returns an error for parameters that the cipher does not have, and for unknown
// paddings and orders. It does not check lengths: values may be known only when a
// message is there.
func (c Cipher) Check(p Params) error {
	padded := c.mode == ecb || c.mode == cbc
	switch {
	case p.Padding != "" && !padded:
		return i18n.Errorf("%s has no padding to choose: remove it", c.name)
	case p.Padding != "" && !slices.Contains(paddings, p.Padding):
		return i18n.Errorf("unknown padding %q: write one of %s", p.Padding, strings.Join(paddings, ", "))
	case (len(p.IV) > 0 || p.IVPrepended) && c.IVSize() == 0:
		return i18n.Errorf("%s has no iv: remove it", c.name)
	case len(p.IV) > 0 && p.IVPrepended:
		return i18n.Errorf("an iv is either given or prepended: remove one")
	case (len(p.Nonce) > 0 || len(p.AAD) > 0) && c.mode != gcm:
		return i18n.Errorf("%s has no nonce and no additional data: remove them", c.name)
	case p.Order != "" && c.keyKind != keySM2:
		return i18n.Errorf("%s has no order: remove it", c.name)
	case p.Order != "" && !slices.Contains(orders, p.Order):
		return i18n.Errorf("unknown order %q: write one of %s", p.Order, strings.Join(orders, ", "))
	}
	return nil
}

var (
	paddings = []string{PadPKCS7, PadPKCS7Wide, PadZero, PadSpace, PadNone}
	orders   = []string{"c1c3c2", "c1c2c3", "asn1"}
)

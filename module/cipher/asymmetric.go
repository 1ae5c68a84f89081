package cipher

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

type asymmetric struct {
	keyKind string
	method  method
}

// method encrypts and decrypts with a key of the right kind.
type method interface {
	encrypt(public crypto.PublicKey, text []byte, p Params) ([]byte, error)
	decrypt(key crypto.Decrypter, ciphertext []byte, p Params) ([]byte, error)
}

// EncryptTo encrypts text for the owner of a public key with an [Asymmetric]
// cipher.
func (c Cipher) EncryptTo(public crypto.PublicKey, text []byte, p Params) ([]byte, error) {
	if c.kind != Asymmetric {
		return nil, i18n.Errorf("%s needs a secret, not a public key", c.name)
	}
	if !c.takes(public) {
		return nil, i18n.Errorf("%s needs a key of kind %s", c.name, c.keyKind)
	}
	out, err := c.method.encrypt(public, text, p)
	if err != nil {
		return nil, i18n.Errorf("encrypting with %s: %w", c.name, err)
	}
	return out, nil
}

// DecryptWith reverses [Cipher.EncryptTo]. The key may be remote: its Decrypt
// is called as crypto/rsa defines it, once for each block. The text may be any
// bytes, as wrapped keys are; [ValidKey] checks those. The error is
// [ErrDecrypt].
func (c Cipher) DecryptWith(key crypto.Decrypter, ciphertext []byte, p Params) ([]byte, error) {
	if c.kind != Asymmetric || !c.takes(key.Public()) {
		return nil, ErrDecrypt
	}
	text, err := c.method.decrypt(key, ciphertext, p)
	if err != nil {
		return nil, ErrDecrypt
	}
	return text, nil
}

func (c Cipher) takes(public crypto.PublicKey) bool {
	if c.keyKind == keySM2 {
		return gm.IsPublicKey(public)
	}
	_, ok := public.(*rsa.PublicKey)
	return ok
}

// blocks is RSA, block by block.
type blocks struct {
	overhead int // bytes of a block that are not text
	seal     func(public *rsa.PublicKey, text []byte) ([]byte, error)
	opts     crypto.DecrypterOpts
}

var pkcs1 = blocks{11, func(public *rsa.PublicKey, text []byte) ([]byte, error) {
	// PKCS #1 v1.5 is deprecated, and the only padding that many providers take
	// (easypay 易生: RSA/ECB/PKCS1Padding). This is the one call of it.
	return rsa.EncryptPKCS1v15(rand.Reader, public, text) //nolint:staticcheck,gosec // see above
}, &rsa.PKCS1v15DecryptOptions{}} //nolint:staticcheck // see above

func oaep(h crypto.Hash) blocks {
	return blocks{2*h.Size() + 2, func(public *rsa.PublicKey, text []byte) ([]byte, error) {
		return rsa.EncryptOAEP(h.New(), rand.Reader, public, text, nil)
	}, &rsa.OAEPOptions{Hash: h}}
}

func (b blocks) encrypt(key crypto.PublicKey, text []byte, _ Params) ([]byte, error) {
	public := key.(*rsa.PublicKey)
	capacity := public.Size() - b.overhead
	if capacity <= 0 {
		return nil, i18n.Errorf("a key of %d bits is too small", public.N.BitLen())
	}
	var out []byte
	for first := true; first || len(text) > 0; first = false {
		n := min(capacity, len(text))
		sealed, err := b.seal(public, text[:n])
		if err != nil {
			return nil, err
		}
		out, text = append(out, sealed...), text[n:]
	}
	return out, nil
}

func (b blocks) decrypt(key crypto.Decrypter, ciphertext []byte, _ Params) ([]byte, error) {
	size := key.Public().(*rsa.PublicKey).Size()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 {
		return nil, ErrDecrypt
	}
	var out []byte
	for ; len(ciphertext) > 0; ciphertext = ciphertext[size:] {
		text, err := key.Decrypt(rand.Reader, ciphertext[:size], b.opts)
		if err != nil {
			return nil, err
		}
		out = append(out, text...)
	}
	return out, nil
}

type sm2 struct{}

func (sm2) encrypt(public crypto.PublicKey, text []byte, p Params) ([]byte, error) {
	return gm.Encrypt(public.(*ecdsa.PublicKey), text, order(p))
}

func (sm2) decrypt(key crypto.Decrypter, ciphertext []byte, p Params) ([]byte, error) {
	return gm.Decrypt(key, ciphertext, order(p))
}

func order(p Params) gm.Order {
	if p.Order == "" {
		return gm.C1C3C2
	}
	return gm.Order(p.Order)
}

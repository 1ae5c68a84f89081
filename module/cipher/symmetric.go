package cipher

import (
	stdcipher "crypto/cipher"
	"crypto/rand"
	"slices"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// mode is a mode of operation, as it stands in a cipher's name.
type mode string

const (
	ecb mode = "ecb"
	cbc mode = "cbc"
	gcm mode = "gcm"
)

// nonceSize is the length of the nonce of GCM that is made here (NIST SP
// 800-38D), and the shortest that is taken.
const nonceSize = 12

type symmetric struct {
	mode      mode
	keySize   int // 0: what the block cipher takes
	blockSize int
	newBlock  func(key []byte) (stdcipher.Block, error)
}

// Encrypt encrypts text with a [Symmetric] cipher. The ciphertext of GCM ends
// with its tag of 16 bytes. An empty text has no block under the paddings space,
// zero and none, and does not decrypt again.
func (c Cipher) Encrypt(key, text []byte, p Params) ([]byte, error) {
	block, err := c.block(key)
	if err != nil {
		return nil, err
	}
	var prefix []byte
	if p.IVPrepended {
		prefix = make([]byte, c.IVSize())
		_, _ = rand.Read(prefix) // it never fails: crypto/rand crashes the program instead
		p.IV, p.Nonce = prefix, nil
	}
	if c.mode == gcm {
		aead, nonce, err := newGCM(block, p)
		if err != nil {
			return nil, err
		}
		return aead.Seal(prefix, nonce, text, p.AAD), nil
	}
	out, err := pad(text, c.blockSize, p.Padding)
	if err != nil {
		return nil, err
	}
	if c.mode == ecb {
		for i := 0; i < len(out); i += c.blockSize {
			block.Encrypt(out[i:], out[i:])
		}
		return out, nil
	}
	if len(p.IV) != c.blockSize {
		return nil, i18n.Errorf("%s needs an iv of %d bytes, and this one has %d", c.name, c.blockSize, len(p.IV))
	}
	stdcipher.NewCBCEncrypter(block, p.IV).CryptBlocks(out, out)
	return append(prefix, out...), nil //nolint:makezero // prefix is the IV, filled
}

// Decrypt reverses [Cipher.Encrypt] and demands that the text is valid UTF-8,
// unless [Params.Binary] is set. Under the paddings space and zero trailing
// bytes up to 0x20 are removed. The error is [ErrDecrypt].
func (c Cipher) Decrypt(key, ciphertext []byte, p Params) ([]byte, error) {
	text, ok := c.decrypt(key, ciphertext, p)
	if !ok || !p.Binary && !utf8.Valid(text) {
		return nil, ErrDecrypt
	}
	return text, nil
}

func (c Cipher) decrypt(key, ciphertext []byte, p Params) ([]byte, bool) {
	block, err := c.block(key)
	if err != nil {
		return nil, false
	}
	if p.IVPrepended {
		size := c.IVSize()
		if len(ciphertext) < size {
			return nil, false
		}
		p.IV, p.Nonce, ciphertext = ciphertext[:size], nil, ciphertext[size:]
	}
	if c.mode == gcm {
		aead, nonce, err := newGCM(block, p)
		if err != nil {
			return nil, false
		}
		text, err := aead.Open(nil, nonce, ciphertext, p.AAD)
		return text, err == nil
	}
	if len(ciphertext) == 0 || len(ciphertext)%c.blockSize != 0 {
		return nil, false
	}
	text := make([]byte, len(ciphertext))
	if c.mode == ecb {
		for i := 0; i < len(text); i += c.blockSize {
			block.Decrypt(text[i:], ciphertext[i:])
		}
		return unpad(text, c.blockSize, p.Padding)
	}
	if len(p.IV) != c.blockSize {
		return nil, false
	}
	stdcipher.NewCBCDecrypter(block, p.IV).CryptBlocks(text, ciphertext)
	return unpad(text, c.blockSize, p.Padding)
}

// block returns the block cipher under a key. Its error does not hold the key.
func (c Cipher) block(key []byte) (stdcipher.Block, error) {
	if c.kind != Symmetric {
		return nil, i18n.Errorf("%s needs a pair of keys, not a secret", c.name)
	}
	block, err := c.newBlock(key)
	switch {
	case err == nil:
		return block, nil
	case c.keySize == 0:
		return nil, i18n.Errorf("%s does not take a key of %d bytes", c.name, len(key))
	default:
		return nil, i18n.Errorf("%s needs a key of %d bytes, and this one has %d", c.name, c.keySize, len(key))
	}
}

func newGCM(block stdcipher.Block, p Params) (stdcipher.AEAD, []byte, error) {
	nonce := p.Nonce
	if len(nonce) == 0 {
		nonce = p.IV
	}
	if len(nonce) < nonceSize {
		return nil, nil, i18n.Errorf("gcm needs a nonce of at least %d bytes, and this one has %d", nonceSize, len(nonce))
	}
	aead, err := stdcipher.NewGCMWithNonceSize(block, len(nonce))
	if err != nil {
		return nil, nil, i18n.Errorf("gcm does not take this cipher")
	}
	return aead, slices.Clone(nonce), nil
}

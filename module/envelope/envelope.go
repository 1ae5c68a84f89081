// Package envelope encrypts single members for a provider: a fresh symmetric
// key for the text (AES in ECB mode), wrapped under the provider's RSA key (the
// digital envelope, 数字信封).
//
// ECB and PKCS #1 v1.5 encryption are what the providers demand, not what
// anybody should choose: equal blocks of text give equal blocks of ciphertext,
// nothing authenticates the text but the signature over the ciphertext, and
// whoever can tell good padding from bad can decrypt. So a message is opened
// only after its signature has verified, and every failure is ErrOpen.
package envelope

import (
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"

	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/encoding"
)

// KeySize is the length of a symmetric key: 32 characters, used directly as an
// AES-256 key (easypay 易生, 请求分账: 对称密钥(32位)).
const KeySize = 32

// ErrOpen is the one error for everything that can be wrong with an envelope
// or a ciphertext. Telling the causes apart would be an oracle.
var ErrOpen = errors.New("the encrypted members do not open")

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKey makes a fresh symmetric key of KeySize characters of [0-9A-Za-z],
// each equally likely.
func NewKey() []byte {
	key := make([]byte, 0, KeySize)
	var random [2 * KeySize]byte
	for {
		_, _ = rand.Read(random[:]) // it never fails: crypto/rand crashes the program instead
		for _, b := range random {
			// 248 is the largest multiple of 62 in a byte: bytes beyond it would
			// make the first characters likelier.
			if b < 248 {
				if key = append(key, alphabet[b%62]); len(key) == KeySize {
					return key
				}
			}
		}
	}
}

// Padding says how a text is filled up to whole blocks before encryption.
type Padding string

// The paddings. Space and Zero cannot be removed exactly; they serve texts that
// are JSON, where white space at the end does not matter.
const (
	PadSpace Padding = "space"
	PadZero  Padding = "zero"
	PadPKCS7 Padding = "pkcs7"
	PadNone  Padding = "none"
)

// Encrypt encrypts text with AES in ECB mode. With PadNone the text must be
// whole blocks of 16 bytes.
func Encrypt(key, text []byte, padding Padding) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	size := block.BlockSize()
	missing := (size - len(text)%size) % size
	var fill byte
	switch padding {
	case PadSpace:
		fill = ' '
	case PadZero:
	case PadPKCS7:
		missing = size - len(text)%size
		fill = byte(missing)
	case PadNone:
		if missing != 0 {
			return nil, fmt.Errorf("the text is %d bytes long, and without padding it must be a multiple of %d", len(text), size)
		}
	default:
		return nil, fmt.Errorf("unknown padding %q", padding)
	}
	out := make([]byte, len(text), len(text)+missing)
	copy(out, text)
	for range missing {
		out = append(out, fill)
	}
	for i := 0; i < len(out); i += size {
		block.Encrypt(out[i:], out[i:])
	}
	return out, nil
}

// Decrypt reverses Encrypt and demands that the result is valid UTF-8. Under
// PadSpace and PadZero trailing bytes up to 0x20 are removed.
func Decrypt(key, ciphertext []byte, padding Padding) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrOpen
	}
	size := block.BlockSize()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 {
		return nil, ErrOpen
	}
	text := make([]byte, len(ciphertext))
	for i := 0; i < len(text); i += size {
		block.Decrypt(text[i:], ciphertext[i:])
	}
	switch padding {
	case PadSpace, PadZero:
		for len(text) > 0 && text[len(text)-1] <= ' ' {
			text = text[:len(text)-1]
		}
	case PadPKCS7:
		n := int(text[len(text)-1])
		if n == 0 || n > size {
			return nil, ErrOpen
		}
		for _, b := range text[len(text)-n:] {
			if int(b) != n {
				return nil, ErrOpen
			}
		}
		text = text[:len(text)-n]
	case PadNone:
	default:
		return nil, fmt.Errorf("unknown padding %q", padding)
	}
	if !utf8.Valid(text) {
		return nil, ErrOpen
	}
	return text, nil
}

// Wrap encrypts prefix and key under the provider's public key and returns the
// envelope in Base64.
func Wrap(public *rsa.PublicKey, prefix string, key []byte) (string, error) {
	if public == nil {
		return "", errors.New("wrapping the symmetric key: the peer's key is not an RSA key")
	}
	// PKCS #1 v1.5 is deprecated, and the only padding that the providers take
	// (easypay 易生: RSA/ECB/PKCS1Padding). This is the one call of it.
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, public, slices.Concat([]byte(prefix), key)) //nolint:staticcheck,gosec // see above
	if err != nil {
		return "", fmt.Errorf("wrapping the symmetric key: %w", err)
	}
	return encoding.EncodeBase64(sealed), nil
}

// Unwrap opens an envelope and returns the symmetric key in it, which must be
// KeySize printable ASCII characters behind the prefix. Only an envelope whose
// message has verified may be unwrapped.
func Unwrap(private crypto.Decrypter, prefix, envelope string) ([]byte, error) {
	sealed, err := encoding.DecodeBase64(envelope)
	if err != nil {
		return nil, ErrOpen
	}
	plain, err := private.Decrypt(rand.Reader, sealed, &rsa.PKCS1v15DecryptOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w", ErrOpen)
	}
	text, found := strings.CutPrefix(string(plain), prefix)
	if !found || len(text) != KeySize {
		return nil, ErrOpen
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return nil, ErrOpen
		}
	}
	return []byte(text), nil
}

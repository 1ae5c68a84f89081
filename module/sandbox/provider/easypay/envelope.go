package easypay

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// The ways to fill the last block. The page says NoPadding and not how a text
// gets to whole blocks.
const (
	PaddingSpace = "space"
	PaddingZero  = "zero"
	PaddingPKCS7 = "pkcs7"
	PaddingNone  = "none"
)

// keyForm is the symmetric key: 32 characters, used as they are.
var keyForm = regexp.MustCompile(`^[0-9A-Za-z]{32}$`)

// open unwraps the key and decrypts orderSubDetails. The signature has been
// verified before.
func (e *exchange) open() error {
	if e.Keys.Decrypt == nil {
		return errors.New("the provider has no key to open envelopes with")
	}
	envelope, err := base64.StdEncoding.Strict().DecodeString(e.biz.StringAt("dgtlEnvlp"))
	if err != nil {
		return errors.New("dgtlEnvlp is not Base64")
	}
	text, err := e.Keys.Decrypt.Decrypt(rand.Reader, envelope, &rsa.PKCS1v15DecryptOptions{})
	if err != nil {
		return errors.New("dgtlEnvlp does not open with the provider's key")
	}
	key, ok := bytes.CutPrefix(text, []byte(e.options.EnvelopePrefix))
	if !ok || !keyForm.Match(key) {
		return errors.New("the key in dgtlEnvlp is not 32 letters and digits")
	}
	cipherText, err := base64.StdEncoding.Strict().DecodeString(e.biz.StringAt("orderSubDetails"))
	if err != nil {
		return errors.New("orderSubDetails is not Base64")
	}
	padded, err := decryptECB(key, cipherText)
	if err != nil {
		return err
	}
	plain, details, err := e.unpad(padded)
	if err != nil {
		return err
	}
	e.key, e.details = key, details
	e.saw("envelope opened, orderSubDetails in plain: %s", strings.TrimRight(string(plain), " "))
	return nil
}

// unpad takes any of the paddings, as the page names none, the one of the
// options first. The answer is filled up as the request was.
func (e *exchange) unpad(padded []byte) (plain []byte, details wire.Value, err error) {
	for _, padding := range []string{e.options.Padding, PaddingSpace, PaddingZero, PaddingPKCS7} {
		plain, failed := unpad(padding, padded)
		if failed == nil {
			details, failed = wire.Parse(plain)
		}
		if failed == nil {
			e.padding = padding
			return plain, details, nil
		}
		if err == nil {
			err = fmt.Errorf("orderSubDetails in plain: %w", failed)
		}
	}
	return nil, wire.Value{}, err
}

// close encrypts what the answer holds, under the request's key or under one
// of the provider's own, and gives the envelope that goes with it.
func (e *exchange) close(plain string, own bool) (cipherText, envelope string, err error) {
	key, envelope := e.key, e.biz.StringAt("dgtlEnvlp")
	if own {
		if key, envelope, err = e.wrap(); err != nil {
			return "", "", err
		}
	}
	padding := e.padding
	if padding == "" {
		padding = e.options.Padding
	}
	padded, err := pad(padding, []byte(plain))
	if err != nil {
		return "", "", err
	}
	encrypted, err := encryptECB(key, padded)
	return base64.StdEncoding.EncodeToString(encrypted), envelope, err
}

// wrap makes a key and its envelope for the merchant.
func (e *exchange) wrap() (key []byte, envelope string, err error) {
	if e.Keys.Encrypt == nil {
		return nil, "", errors.New("the key set has no public key of the merchant to make an envelope with")
	}
	key = []byte((rand.Text() + rand.Text())[:32])
	wrapped, err := rsa.EncryptPKCS1v15( //nolint:staticcheck // it is what easypay uses
		rand.Reader, e.Keys.Encrypt, slices.Concat([]byte(e.options.EnvelopePrefix), key))
	if err != nil {
		return nil, "", fmt.Errorf("making the envelope: %w", err)
	}
	return key, base64.StdEncoding.EncodeToString(wrapped), nil
}

// encryptECB encrypts each block separately with AES-256. The page demands ECB, which
// the standard library leaves out because it is insecure.
func encryptECB(key, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(plain))
	for i := 0; i < len(plain); i += aes.BlockSize {
		block.Encrypt(out[i:], plain[i:i+aes.BlockSize])
	}
	return out, nil
}

func decryptECB(key, cipherText []byte) ([]byte, error) {
	if len(cipherText) == 0 || len(cipherText)%aes.BlockSize != 0 {
		return nil, errors.New("orderSubDetails is not whole blocks of 16 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(cipherText))
	for i := 0; i < len(cipherText); i += aes.BlockSize {
		block.Decrypt(out[i:], cipherText[i:i+aes.BlockSize])
	}
	return out, nil
}

// pad fills the last block. Under none the provider makes its JSON as long as
// it must be, with white space.
func pad(padding string, plain []byte) ([]byte, error) {
	missing := (aes.BlockSize - len(plain)%aes.BlockSize) % aes.BlockSize
	var fill byte
	switch padding {
	case PaddingSpace, PaddingNone:
		fill = ' '
	case PaddingZero:
		fill = 0
	case PaddingPKCS7:
		missing = aes.BlockSize - len(plain)%aes.BlockSize
		fill = byte(missing)
	default:
		return nil, fmt.Errorf("there is no padding %q", padding)
	}
	return append(slices.Clone(plain), bytes.Repeat([]byte{fill}, missing)...), nil
}

// unpad takes away what pad added. Spaces stay: to a JSON parser they are
// nothing, and whatever else follows the JSON it refuses.
func unpad(padding string, padded []byte) ([]byte, error) {
	switch padding {
	case PaddingSpace, PaddingNone:
		return padded, nil
	case PaddingZero:
		return bytes.TrimRight(padded, "\x00"), nil
	case PaddingPKCS7:
		n := int(padded[len(padded)-1])
		if n < 1 || n > aes.BlockSize || !bytes.HasSuffix(padded, bytes.Repeat([]byte{byte(n)}, n)) {
			return nil, errors.New("orderSubDetails has no PKCS #7 padding")
		}
		return padded[:len(padded)-n], nil
	}
	return nil, fmt.Errorf("there is no padding %q", padding)
}

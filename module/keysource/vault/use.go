package vault

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/encoding"
)

// transitUse is one version of a Transit key in use: Vault signs and decrypts.
// It goes on working after the source is closed, for those who hold it.
type transitUse struct {
	source  *Source
	key     *transitKey
	version int
	public  *rsa.PublicKey
}

// String is where the key is.
func (t *transitUse) String() string {
	return fmt.Sprintf("vault transit:%s/%s version %d", t.key.mount, t.key.name, t.version)
}

// Public is the public key.
func (t *transitUse) Public() crypto.PublicKey { return t.public }

// Sign has Vault sign a SHA-256 digest (PKCS #1 v1.5).
func (t *transitUse) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("vault is asked for PKCS#1 v1.5 signatures with SHA-256 only")
	}
	ctx, cancel := context.WithTimeout(context.Background(), useTimeout)
	defer cancel()
	secret, err := t.source.client.write(ctx, t.key.signPath(), map[string]any{
		"input": encoding.EncodeBase64(digest), "prehashed": true,
		"signature_algorithm": "pkcs1v15", "key_version": t.version,
	})
	if err != nil {
		return nil, err
	}
	text, _ := secret.Data["signature"].(string)
	signature, err := encoding.DecodeBase64(text[strings.LastIndexByte(text, ':')+1:])
	if err != nil || rsa.VerifyPKCS1v15(t.public, crypto.SHA256, digest, signature) != nil {
		return nil, errors.New("vault's answer holds no good signature")
	}
	return signature, nil
}

// Decrypt has Vault decrypt (PKCS #1 v1.5).
func (t *transitUse) Decrypt(_ io.Reader, ciphertext []byte, _ crypto.DecrypterOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), useTimeout)
	defer cancel()
	secret, err := t.source.client.write(ctx, t.key.decryptPath(), map[string]any{
		"ciphertext":     fmt.Sprintf("vault:v%d:%s", t.version, encoding.EncodeBase64(ciphertext)),
		"padding_scheme": "pkcs1v15",
	})
	if err != nil {
		// Whoever opens an envelope tells nobody why it did not open. That Vault
		// could not be asked is no secret of the envelope's.
		if !isStatus(err, http.StatusBadRequest) {
			t.source.logger().Error("vault did not decrypt", zap.Stringer("key", t), zap.Error(err))
		}
		return nil, err
	}
	text, _ := secret.Data["plaintext"].(string)
	plain, err := encoding.DecodeBase64(text)
	if err != nil {
		return nil, errors.New("vault's answer holds no plaintext")
	}
	return plain, nil
}

var (
	_ crypto.Signer    = (*transitUse)(nil)
	_ crypto.Decrypter = (*transitUse)(nil)
)

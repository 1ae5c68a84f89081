package vault

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// transitUse is one version of a Transit key with which Vault signs and decrypts. It
// can still be used after the source is closed.
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

// Public returns the public key.
func (t *transitUse) Public() crypto.PublicKey { return t.public }

// Sign returns Vault's signature of a SHA-256 digest (PKCS #1 v1.5). If Vault refuses
// the version, Sign reads the key once and uses its latest version.
func (t *transitUse) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 {
		return nil, i18n.Errorf("vault is asked for PKCS#1 v1.5 signatures with SHA-256 only")
	}
	ctx, cancel := context.WithTimeout(context.Background(), useTimeout)
	defer cancel()
	current := t.key.current(t)
	signature, err := current.sign(ctx, digest)
	if refused(err) {
		latest, renewErr := t.key.renew(ctx, current)
		switch {
		case renewErr != nil:
			err = i18n.Errorf("%w: %w", err, renewErr)
		case latest != current:
			signature, err = latest.sign(ctx, digest)
		}
	}
	t.source.used(t.key, need{t.key.signPath(), "update"}, err)
	return signature, err
}

// refused reports whether Vault has refused to use a key. Vault answers 500
// where the version is below min_encryption_version, and 400 where there is no
// such version or key.
func refused(err error) bool {
	return isStatus(err, http.StatusBadRequest) || isStatus(err, http.StatusInternalServerError)
}

func (t *transitUse) sign(ctx context.Context, digest []byte) ([]byte, error) {
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
		return nil, i18n.Errorf("vault's answer holds no good signature")
	}
	return signature, nil
}

// successor is the version that signs where Vault refuses the one that was the
// latest when the set was loaded: after a rotation min_encryption_version may
// forbid it at once.
type successor struct {
	mu  sync.Mutex // locked during a request to Vault
	use atomic.Pointer[transitUse]
}

// current returns the version that signs instead of one that was loaded.
func (k *transitKey) current(loaded *transitUse) *transitUse {
	if use := k.successor.use.Load(); use != nil {
		return use
	}
	return loaded
}

// renew looks for a later version than one that Vault has refused. Vault is
// asked once for all payments that were refused.
func (k *transitKey) renew(ctx context.Context, refused *transitUse) (*transitUse, error) {
	k.successor.mu.Lock()
	defer k.successor.mu.Unlock()
	if use := k.successor.use.Load(); use != nil && use.version > refused.version {
		return use, nil
	}
	now, err := refused.source.transitKey(ctx, k.mount+"/"+k.name)
	if err != nil {
		return nil, err
	}
	if now.latest <= refused.version {
		return refused, nil
	}
	use := &transitUse{source: refused.source, key: k, version: now.latest, public: now.versions[now.latest]}
	k.successor.use.Store(use)
	return use, nil
}

// Decrypt returns the plaintext that Vault decrypts (PKCS #1 v1.5).
func (t *transitUse) Decrypt(_ io.Reader, ciphertext []byte, _ crypto.DecrypterOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), useTimeout)
	defer cancel()
	secret, err := t.source.client.write(ctx, t.key.decryptPath(), map[string]any{
		"ciphertext":     fmt.Sprintf("vault:v%d:%s", t.version, encoding.EncodeBase64(ciphertext)),
		"padding_scheme": "pkcs1v15",
	})
	if err != nil {
		// The cause of a failed decryption is not reported, because it would be an
		// oracle. A failure to reach Vault may be reported.
		if !isStatus(err, http.StatusBadRequest) {
			t.source.used(t.key, need{t.key.decryptPath(), "update"}, err)
			t.source.logger().Error("vault did not decrypt", zap.Stringer("key", t), zap.Error(err))
		}
		return nil, err
	}
	text, _ := secret.Data["plaintext"].(string)
	plain, err := encoding.DecodeBase64(text)
	if err != nil {
		return nil, i18n.Errorf("vault's answer holds no plaintext")
	}
	return plain, nil
}

var (
	_ crypto.Signer    = (*transitUse)(nil)
	_ crypto.Decrypter = (*transitUse)(nil)
)

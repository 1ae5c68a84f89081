package vault

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
)

// transitKey is a key of the Transit engine, as Vault describes it.
type transitKey struct {
	mount, name string
	latest      int
	versions    map[int]*rsa.PublicKey // those that may still decrypt
}

// state tells one state of the key from another.
func (k *transitKey) state() string {
	oldest := k.latest
	for version := range k.versions {
		oldest = min(oldest, version)
	}
	return fmt.Sprintf("%s/%s v%d-v%d", k.mount, k.name, oldest, k.latest)
}

// transit makes the private keys of a role that a Transit key plays: to sign
// its latest version, to decrypt every version that it still allows, the
// latest first. It returns the state of the key as well.
func (s *Source) transit(ctx context.Context, role keys.Role, reference string) ([]*keys.PrivateKey, string, error) {
	if role != keys.Sign && role != keys.Decrypt {
		return nil, "", errors.New("only sign and decrypt can be a Transit key; store the peer's public key or the secret itself")
	}
	if role == keys.Decrypt {
		if err := s.checkDecrypt(ctx); err != nil {
			return nil, "", err
		}
	}
	key, err := s.transitKey(ctx, reference)
	if err != nil {
		return nil, "", err
	}
	versions := []int{key.latest}
	if role == keys.Decrypt {
		versions = versions[:0]
		for version := range key.versions {
			versions = append(versions, version)
		}
		slices.SortFunc(versions, func(a, b int) int { return b - a })
	}
	var out []*keys.PrivateKey
	for _, version := range versions {
		public := key.versions[version]
		use := &transitUse{client: s.client, mount: key.mount, name: key.name, version: version, public: public}
		out = append(out, keys.NewPrivateKey(use, use, public, use.String()))
	}
	return out, key.state(), nil
}

// transitKey asks Vault for a key: "<mount>/<name>".
func (s *Source) transitKey(ctx context.Context, reference string) (*transitKey, error) {
	at := strings.LastIndexByte(reference, '/')
	if at < 1 || at == len(reference)-1 || strings.ContainsAny(reference, "?#% \\") || strings.Contains(reference, "..") {
		return nil, fmt.Errorf("a Transit key is named transit:<mount>/<key>, not transit:%s", reference)
	}
	key := &transitKey{mount: reference[:at], name: reference[at+1:], versions: make(map[int]*rsa.PublicKey)}
	secret, err := s.client.read(ctx, key.mount+"/keys/"+key.name)
	if isStatus(err, http.StatusNotFound) {
		return nil, fmt.Errorf("vault has no Transit key %s; create it with: vault write -f %s/keys/%s type=rsa-2048", reference, key.mount, key.name)
	}
	if err != nil {
		return nil, err
	}
	if kind := fmt.Sprint(secret.Data["type"]); !strings.HasPrefix(kind, "rsa-") {
		return nil, fmt.Errorf("the Transit key %s is of the type %s, and the providers take RSA only; Transit keeps RSA from 2048 bits, so an RSA-1024 key can only be stored in KV, as PEM in the field", reference, kind)
	}
	key.latest = whole(secret.Data["latest_version"])
	oldest := whole(secret.Data["min_decryption_version"])
	all, _ := secret.Data["keys"].(map[string]any)
	for number, entry := range all {
		version, err := strconv.Atoi(number)
		if err != nil || version < oldest {
			continue
		}
		fields, _ := entry.(map[string]any)
		text, _ := fields["public_key"].(string)
		public, err := parsePublic(text)
		if err != nil {
			return nil, fmt.Errorf("the public key of version %d of the Transit key %s: %w", version, reference, err)
		}
		key.versions[version] = public
	}
	if key.versions[key.latest] == nil {
		return nil, fmt.Errorf("vault does not show the public key of the Transit key %s", reference)
	}
	return key, nil
}

func parsePublic(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is not a public key")
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, and the providers take RSA only", parsed)
	}
	return public, nil
}

// checkDecrypt refuses a Vault that cannot open PKCS #1 v1.5 envelopes.
func (s *Source) checkDecrypt(ctx context.Context) error {
	secret, err := s.client.version(ctx)
	if err != nil || secret == "" {
		return nil //nolint:nilerr // an envelope that does not open says so by itself
	}
	var major, minor int
	if _, err := fmt.Sscanf(secret, "%d.%d", &major, &minor); err != nil {
		return nil //nolint:nilerr // a version that is not understood is no reason to refuse
	}
	if major == 1 && minor < 19 {
		return fmt.Errorf("opening PKCS#1 v1.5 envelopes by Transit needs Vault 1.19, and this is %s; upgrade Vault or store the decrypt key in KV", secret)
	}
	return nil
}

// transitUse is one version of a Transit key in use: Vault signs and decrypts.
type transitUse struct {
	client      *client
	mount, name string
	version     int
	public      *rsa.PublicKey
}

// String is where the key is.
func (t *transitUse) String() string {
	return fmt.Sprintf("vault transit:%s/%s version %d", t.mount, t.name, t.version)
}

// Public is the public key.
func (t *transitUse) Public() crypto.PublicKey { return t.public }

// Sign has Vault sign a SHA-256 digest (PKCS #1 v1.5).
func (t *transitUse) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("only SHA-256 is signed by transit")
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	secret, err := t.client.write(ctx, t.mount+"/sign/"+t.name+"/sha2-256", map[string]any{
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
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	secret, err := t.client.write(ctx, t.mount+"/decrypt/"+t.name, map[string]any{
		"ciphertext":     fmt.Sprintf("vault:v%d:%s", t.version, encoding.EncodeBase64(ciphertext)),
		"padding_scheme": "pkcs1v15",
	})
	if err != nil {
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

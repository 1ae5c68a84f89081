package vault

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// minTransitBits is the size of the smallest RSA key that Transit keeps.
const minTransitBits = 2048

// transitKey is a key of the Transit engine, as Vault describes it.
type transitKey struct {
	mount, name string
	latest      int
	versions    map[int]*rsa.PublicKey // those that may still decrypt
	successor   successor
}

func (k *transitKey) path() string        { return k.mount + "/keys/" + k.name }
func (k *transitKey) signPath() string    { return k.mount + "/sign/" + k.name + "/sha2-256" }
func (k *transitKey) decryptPath() string { return k.mount + "/decrypt/" + k.name }

// newest returns the versions, the latest first.
func (k *transitKey) newest() []int {
	return slices.SortedFunc(maps.Keys(k.versions), func(a, b int) int { return b - a })
}

// state returns a text that differs for each state of the key.
func (k *transitKey) state() string {
	var out strings.Builder
	for _, version := range k.newest() {
		fmt.Fprintf(&out, "%d:%s ", version, keys.Fingerprint(k.versions[version]))
	}
	return out.String()
}

// privateKeys makes the private keys with which a Transit key serves a role: to sign
// its latest version, to decrypt every version that it still allows, the
// latest first. It returns what the policy must grant for that as well.
func (s *Source) privateKeys(ctx context.Context, key *transitKey, role keys.Role) ([]*keys.PrivateKey, need, error) {
	switch plain, _ := role.Split(); plain {
	case keys.Sign:
		return []*keys.PrivateKey{s.use(key, key.latest)}, need{key.signPath(), "update"}, nil
	case keys.Decrypt:
		if err := s.checkDecrypt(ctx); err != nil {
			return nil, need{}, err
		}
		var out []*keys.PrivateKey
		for _, version := range key.newest() {
			out = append(out, s.use(key, version))
		}
		return out, need{key.decryptPath(), "update"}, nil
	default:
		return nil, need{}, i18n.Errorf("only sign and decrypt can be a Transit key; store the peer's public key, or the secret itself, in the field")
	}
}

func (s *Source) use(key *transitKey, version int) *keys.PrivateKey {
	s.lent.Store(true)
	use := &transitUse{source: s, key: key, version: version, public: key.versions[version]}
	private := keys.NewPrivateKey(use, use, use.public, use.String())
	private.Remote = true
	return private
}

// parseTransit reads the name of a Transit key: "<mount>/<name>".
func parseTransit(where string) (*transitKey, error) {
	at := strings.LastIndexByte(where, '/')
	if at < 1 || at == len(where)-1 || strings.ContainsAny(where, "?#% \\\r\n") || strings.Contains(where, "..") {
		return nil, i18n.Errorf("a Transit key is named transit:<mount>/<key>, and this is something else")
	}
	return &transitKey{mount: where[:at], name: where[at+1:], versions: make(map[int]*rsa.PublicKey)}, nil
}

// transitKey asks Vault for a key.
func (s *Source) transitKey(ctx context.Context, where string) (*transitKey, error) {
	key, err := parseTransit(where)
	if err != nil {
		return nil, err
	}
	secret, err := s.client.read(ctx, key.path())
	if isNothing(err) {
		return nil, i18n.Errorf("vault has no Transit key at %s; create it (vault write -f %[1]s type=rsa-2048) or import it. "+
			"Transit takes RSA from %d bits: store an RSA-1024 key in KV, as PEM in this field", key.path(), minTransitBits)
	}
	if err != nil {
		return nil, err
	}
	if kind := fmt.Sprint(secret.Data["type"]); !strings.HasPrefix(kind, "rsa-") {
		return nil, i18n.Errorf("the Transit key %s is of the type %s, and the providers take RSA only", where, kind)
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
			return nil, i18n.Errorf("the public key of version %d of the Transit key %s: %w", version, where, err)
		}
		key.versions[version] = public
	}
	if key.versions[key.latest] == nil {
		return nil, i18n.Errorf("vault does not show the public key of the Transit key %s", where)
	}
	return key, nil
}

func parsePublic(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, i18n.Errorf("it is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, i18n.Errorf("it is not a public key")
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, i18n.Errorf("it is a %T, and the providers take RSA only", parsed)
	}
	if bits := public.N.BitLen(); bits < minTransitBits {
		return nil, i18n.Errorf("it has %d bits, and Transit works with RSA from %d; store this key in KV, as PEM in the field", bits, minTransitBits)
	}
	return public, nil
}

// checkDecrypt refuses a Vault that cannot open PKCS #1 v1.5 envelopes.
func (s *Source) checkDecrypt(ctx context.Context) error {
	version, err := s.client.version(ctx)
	if err != nil {
		return err
	}
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return nil //nolint:nilerr // not known to be too old; an envelope that does not open says so
	}
	if major == 1 && minor < 19 {
		return i18n.Errorf("opening PKCS#1 v1.5 envelopes by Transit needs Vault 1.19, and this is %s; upgrade Vault or store the decrypt key in KV", version)
	}
	return nil
}

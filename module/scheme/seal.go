package scheme

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// Request is a plain request to be sealed.
type Request struct {
	Message *message.Message // as the application sent it; it is not changed
	Keys    *keys.Set
	Now     time.Time
}

// Draft is a message on its way out: a request that a Scheme completes, or an
// acknowledgement that it signs.
type Draft struct {
	Message *message.Message // to be edited
	Keys    *keys.Set
	Now     time.Time

	Memory Memory

	set          *keys.Set // of Seal's caller, which signs whatever becomes of Keys
	made         []made
	fingerprints []string
	tokens       int
}

// keys is the key set that signs.
func (d *Draft) keys() *keys.Set {
	if d.set != nil {
		return d.set
	}
	return d.Keys
}

// Memory is what opening an answer needs of its request.
type Memory struct {
	// Strings are the members that the application gave as JSON and that went
	// out as strings holding that JSON.
	Strings []body.Path
	// Texts are the encrypted members that the application gave as strings.
	Texts []body.Path
	// JSON are the encrypted members that it gave as other JSON.
	JSON []body.Path
	// Envelopes are the symmetric keys and the form in which they travelled.
	Envelopes []Envelope
}

// Envelope is a symmetric key, and where and how it travelled.
type Envelope struct {
	Wrapped string
	Key     []byte
}

// made is a signature that was made.
type made struct {
	signature   Signature
	fingerprint string            // of the key
	digest      [sha256.Size]byte // of the canonical string
	sum         []byte            // the signature
}

// symmetric reports whether whoever verifies such a signature could have made it.
func (m made) symmetric() bool { return m.signature.Algorithm.Kind() != algorithm.Public }

// Sealed is a request as it leaves, and what opening its answer needs.
type Sealed struct {
	Message      *message.Message // Wire is the body that leaves
	Fingerprints []string         // of the keys that were used, the signature's first
	Memory       Memory

	plain *message.Message
	made  []made
	keys  *keys.Set
}

// Canonical is the canonical string of the last signature, which covers the most,
// without secrets; nil where only a token authenticates the request.
func (s *Sealed) Canonical() []byte {
	if len(s.made) == 0 {
		return nil
	}
	return s.made[len(s.made)-1].signature.Text.Canonical
}

// Hole is the text that was digested for the last signature, with {secret} where
// a secret stands.
func (s *Sealed) Hole() []byte {
	if len(s.made) == 0 {
		return nil
	}
	return s.made[len(s.made)-1].signature.Text.hole()
}

// Seal completes and signs a request, with its caller's keys. Its errors are
// *Error. A scheme that neither signs nor sends a token is refused: nothing leaves
// unsigned.
func Seal(s Scheme, request Request) (sealed *Sealed, err error) {
	defer func() {
		if p := recover(); p != nil {
			sealed, err = nil, panicked(Signing, i18n.T("the request could not be signed"), p)
		}
	}()
	description := s.Describe()
	if description == nil {
		return nil, Failf(Signing, "the scheme does not describe itself")
	}
	if description.Request == nil {
		return nil, Failf(Invalid, "%s serves notifications only; it has no requests", description.Name)
	}
	d := &Draft{Message: request.Message.Fresh(), Keys: request.Keys, Now: request.Now, set: request.Keys}
	if err := s.Complete(d); err != nil {
		return nil, err
	}
	if len(d.made) == 0 && d.tokens == 0 || d.Message == nil {
		return nil, Failf(Signing, "the scheme has made no signature")
	}
	return &Sealed{
		Message: d.Message, Fingerprints: d.fingerprints, Memory: d.Memory,
		plain: request.Message, made: d.made, keys: request.Keys,
	}, nil
}

// Sign makes a signature and returns it encoded. The scheme puts it where it
// belongs.
func (d *Draft) Sign(s Signature) (string, error) {
	if s.Algorithm.Kind() == algorithm.Public { // of secrets there may be named ones only
		if err := d.keys().Need(signRole(s)); err != nil {
			return "", Failf(NeedsKeys, "%w", err)
		}
	}
	raw, fingerprint, err := sign(d.keys(), s)
	if err != nil {
		return "", err
	}
	d.made = append(d.made, made{s, fingerprint, sha256.Sum256(s.Text.Canonical), raw})
	d.fingerprints = append(d.fingerprints, fingerprint)
	return s.Encoding.Encode(raw), nil
}

// Token is a secret that leaves as it is.
func (d *Draft) Token(name string) (*keys.Secret, error) {
	secret := d.keys().NamedSecret(name)
	if secret == nil {
		return nil, Failf(NeedsKeys, "%w", d.keys().Need(secretRole(name)))
	}
	d.tokens++
	d.fingerprints = append(d.fingerprints, secret.Fingerprint)
	return secret, nil
}

// Used notes a key that was used besides those of signatures.
func (d *Draft) Used(fingerprint string) { d.fingerprints = append(d.fingerprints, fingerprint) }

func signRole(s Signature) keys.Role {
	switch {
	case s.Role != "":
		return s.Role
	case s.Algorithm.Kind() == algorithm.Public:
		return keys.Sign
	default:
		return keys.SharedSecret
	}
}

func secretRole(name string) keys.Role {
	if name == "" {
		return keys.SharedSecret
	}
	return keys.SharedSecret + keys.Role("@"+name)
}

// sign makes a signature with the keys of a set.
func sign(set *keys.Set, s Signature) (raw []byte, fingerprint string, err error) {
	if s.Algorithm.Kind() == algorithm.Public {
		key := set.SignKey(s.Key)
		if key == nil {
			return nil, "", Failf(NeedsKeys, "the key set has no key sign@%s", s.Key)
		}
		text, err := s.Text.with(set.NamedSecret)
		if err != nil {
			return nil, "", err
		}
		raw, err := s.Algorithm.Sign(key.Signer, text, s.Options)
		if err != nil {
			return nil, "", signingFailed(i18n.Errorf("signing with %s: %w", key.Origin, err))
		}
		return raw, key.Fingerprint, nil
	}
	secret := set.NamedSecret(s.Key)
	if secret == nil && s.Algorithm.Kind() == algorithm.MAC {
		return nil, "", Failf(NeedsKeys, "%w", set.Need(secretRole(s.Key)))
	}
	c := candidate{secret: secret}
	if secret != nil {
		c.fingerprint = secret.Fingerprint
	} else if any := anySecret(set); any != nil { // only named secrets stand in the text
		c.fingerprint = any.Fingerprint
	} else {
		return nil, "", Failf(NeedsKeys, "%w", set.Need(keys.SharedSecret))
	}
	raw, err = c.sum(set, s, nil)
	return raw, c.fingerprint, err
}

// sum is the digest or the MAC that the candidate's secret makes.
func (c candidate) sum(set *keys.Set, s Signature, charset func([]byte) []byte) ([]byte, error) {
	text, err := s.Text.with(c.secrets(set))
	if err != nil {
		return nil, err
	}
	defer s.Text.wipe(text)
	var key []byte
	if s.Algorithm.Kind() == algorithm.MAC {
		if key, err = s.key(c.secret); err != nil {
			return nil, err
		}
	} else if err := s.Text.keyed(text); err != nil {
		return nil, err
	}
	if charset != nil {
		text = charset(text)
	}
	sum := s.Algorithm.Sum(key, text)
	if len(sum) == 0 {
		return nil, Failf(Invalid, "the scheme names no algorithm for %s", s.Where)
	}
	return sum, nil
}

// secrets are those of a set, with the candidate's in the place of the plain one.
func (c candidate) secrets(set *keys.Set) Secrets {
	return func(name string) *keys.Secret {
		if name == "" {
			return c.secret
		}
		return set.NamedSecret(name)
	}
}

// key is the key that a secret stands for. Under an empty one anybody could sign.
func (s Signature) key(secret *keys.Secret) ([]byte, error) {
	key := secret.Bytes()
	if s.Derive != nil {
		var err error
		if key, err = s.Derive(key); err != nil {
			return nil, err
		}
	}
	if len(key) == 0 {
		return nil, Failf(NeedsKeys, "the secret %s stands for an empty key; write the secret that the provider has given", secretRole(s.Key))
	}
	return key, nil
}

// probe stands for every secret, to see whether a text depends on one.
var probe = sync.OnceValue(func() *keys.Secret { return keys.NewSecret([]byte(rand.Text()), "a probe") })

// keyed refuses a text that a plain digest covers and that says the same whatever
// the secrets are: anybody could make such a digest.
func (t Text) keyed(text []byte) error {
	same := t.With == nil
	if !same {
		other, err := t.With(func(string) *keys.Secret { return probe() })
		same = err == nil && bytes.Equal(other, text)
	}
	if same {
		return Failf(Invalid, "what the scheme digests holds no secret, so that anybody could make the signature")
	}
	return nil
}

// anySecret is the secret, or one of the named ones, or nil.
func anySecret(set *keys.Set) *keys.Secret {
	if secret := set.NamedSecret(""); secret != nil {
		return secret
	}
	for _, id := range slices.Sorted(maps.Keys(set.Named)) {
		if secret := set.NamedSecret(id); secret != nil {
			return secret
		}
	}
	return nil
}

// hole is the text with {secret} in it, or the canonical string.
func (t Text) hole() []byte {
	if t.Hole == nil {
		return t.Canonical
	}
	text, err := t.Hole()
	if err != nil {
		return t.Canonical // it was made once, with the secret
	}
	return text
}

func (t Text) with(secrets Secrets) ([]byte, error) {
	if t.With == nil {
		return t.Canonical, nil
	}
	return t.With(secrets)
}

// wipe overwrites a text with a secret in it, once it has been digested.
func (t Text) wipe(text []byte) {
	if t.With != nil && len(text) > 0 && (len(t.Canonical) == 0 || &text[0] != &t.Canonical[0]) {
		clear(text)
	}
}

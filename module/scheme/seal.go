package scheme

import (
	"bytes"
	"crypto/rand"
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

	set          *keys.Set // of Seal's caller; it signs even if the scheme replaces Keys
	made         []made
	fingerprints []string
	tokens       int
}

// keys returns the key set that signs.
func (d *Draft) keys() *keys.Set {
	if d.set != nil {
		return d.set
	}
	return d.Keys
}

// Memory is what sealing a request records for opening its answer.
type Memory struct {
	// Strings are the members that the application sent as JSON and that went out as
	// strings of that JSON.
	Strings []body.Path
	// Texts are the encrypted members that the application sent as strings.
	Texts body.PathSet
	// JSON are the encrypted members that it sent as other JSON.
	JSON body.PathSet
	// Envelopes are the symmetric keys of the request and how they were sent.
	Envelopes []Envelope
}

// Envelope is a symmetric key, and where and how it was sent.
type Envelope struct {
	Wrapped string
	Key     []byte
}

// made is a signature that was made.
type made struct {
	signature   Signature
	fingerprint string // of the key
	sum         []byte // the signature
}

// symmetric reports whether the signature is made with a shared secret, so that the peer
// could have made it too.
func (m made) symmetric() bool { return m.signature.Algorithm.Kind() != algorithm.Public }

// Sealed is a request as it is sent, with what opening its answer needs.
type Sealed struct {
	Message      *message.Message // Wire is the body that is sent
	Fingerprints []string         // of the keys that were used, the signature's first
	Memory       Memory

	plain *message.Message
	made  []made
	keys  *keys.Set
}

// Canonical returns the canonical string of the last signature, which covers the most,
// without secrets. It is nil where only a token authenticates the request.
func (s *Sealed) Canonical() []byte {
	if len(s.made) == 0 {
		return nil
	}
	return s.made[len(s.made)-1].signature.Text.Canonical
}

// Redacted returns the text that was digested for the last signature, with {secret} in
// place of each secret.
func (s *Sealed) Redacted() []byte {
	if len(s.made) == 0 {
		return nil
	}
	return s.made[len(s.made)-1].signature.Text.redacted()
}

// Seal completes and signs a request with its caller's keys. Its errors are *Error. It
// fails if the scheme neither signs nor sends a token: no request leaves unsigned.
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
	if err := checkCaseVariants(request.Message, asked(description.Match)); err != nil {
		return nil, err
	}
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
	if s.Algorithm.Kind() == algorithm.Public { // a set may have named secrets only
		if err := d.keys().Need(signRole(s)); err != nil {
			return "", Failf(NeedsKeys, "%w", err)
		}
	}
	raw, fingerprint, err := sign(d.keys(), s)
	if err != nil {
		return "", err
	}
	d.made = append(d.made, made{s, fingerprint, raw})
	d.fingerprints = append(d.fingerprints, fingerprint)
	return s.Encoding.Encode(raw), nil
}

// Token returns the secret with a name, "" for the role secret, for a scheme that sends
// the secret itself.
func (d *Draft) Token(name string) (*keys.Secret, error) {
	secret := d.keys().NamedSecret(name)
	if secret == nil {
		return nil, Failf(NeedsKeys, "%w", d.keys().Need(secretRole(name)))
	}
	d.tokens++
	d.fingerprints = append(d.fingerprints, secret.Fingerprint)
	return secret, nil
}

// Used records the fingerprint of a key that was used for something other than a
// signature, such as an envelope.
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
		text, err := s.Text.whole(set.NamedSecret)
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

// sum computes the digest or the MAC with the candidate's secret.
func (c candidate) sum(set *keys.Set, s Signature, charset func([]byte) []byte) ([]byte, error) {
	text, tail, err := s.Text.with(c.secrets(set))
	if err != nil {
		return nil, err
	}
	defer s.Text.wipe(text, tail)
	var key []byte
	if s.Algorithm.Kind() == algorithm.MAC {
		if key, err = s.key(c.secret); err != nil {
			return nil, err
		}
	} else if err := s.Text.keyed(text, tail); err != nil {
		return nil, err
	}
	if charset != nil {
		text, tail = charset(slices.Concat(text, tail)), nil
	}
	sum := s.Algorithm.Sum(key, text, tail)
	if len(sum) == 0 {
		return nil, Failf(Invalid, "the scheme names no algorithm for %s", s.Where)
	}
	return sum, nil
}

// secrets returns those of a set, with the candidate in place of the plain secret.
func (c candidate) secrets(set *keys.Set) Secrets {
	return func(name string) *keys.Secret {
		if name == "" {
			return c.secret
		}
		return set.NamedSecret(name)
	}
}

// key derives the key from a secret. It refuses an empty key, with which anybody could
// sign.
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

// probe is put in place of every secret, to see whether a text depends on one.
var probe = sync.OnceValue(func() *keys.Secret { return keys.NewSecret([]byte(rand.Text()), "a probe") })

// keyed refuses the text of a plain digest if it does not depend on a secret: anybody
// could make such a digest.
func (t Text) keyed(text, tail []byte) error {
	same := t.With == nil
	if !same {
		other, otherTail, err := t.With(func(string) *keys.Secret { return probe() })
		same = err == nil && equal(other, otherTail, text, tail)
	}
	if same {
		return Failf(Invalid, "what the scheme digests holds no secret, so that anybody could make the signature")
	}
	return nil
}

// anySecret returns the plain secret, else one of the named secrets, else nil.
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

// redacted returns the text with {secret} in place of each secret.
func (t Text) redacted() []byte {
	if t.Redacted == nil {
		return t.Canonical
	}
	text, err := t.Redacted()
	if err != nil {
		return t.Canonical // cannot happen: the text was built once, with the secret
	}
	return text
}

// equal reports whether two texts in two pieces each are the same. First pieces that
// are one slice are not read.
func equal(a, aTail, b, bTail []byte) bool {
	if len(a) == len(b) {
		return bytes.Equal(a, b) && bytes.Equal(aTail, bTail)
	}
	return bytes.Equal(slices.Concat(a, aTail), slices.Concat(b, bTail))
}

func (t Text) with(secrets Secrets) (text, tail []byte, err error) {
	if t.With == nil {
		return t.Canonical, nil, nil
	}
	return t.With(secrets)
}

// whole is with in one piece.
func (t Text) whole(secrets Secrets) ([]byte, error) {
	text, tail, err := t.with(secrets)
	if err != nil || len(tail) == 0 {
		return text, err
	}
	return slices.Concat(text, tail), nil
}

// wipe overwrites the pieces of a text with a secret in them, once they have been
// digested.
func (t Text) wipe(text, tail []byte) {
	if t.With != nil && len(text) > 0 && (len(t.Canonical) == 0 || &text[0] != &t.Canonical[0]) {
		clear(text)
	}
	clear(tail)
}

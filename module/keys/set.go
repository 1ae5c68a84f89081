package keys

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// Set is a key set as it was at one moment. It is never changed: a rotation
// makes a new one.
type Set struct {
	Reference string
	Version   string // what the source calls this state of the set
	Loaded    time.Time
	Stamp     any // what the source itself remembers of this state

	Sign          *PrivateKey
	Verify        []*PublicKey
	Encrypt       *PublicKey
	Decrypt       []*PrivateKey
	Secret        *Secret
	VerifySecrets []*Secret // Secret first, if there is one

	// Named holds the roles with an id: the key of "verify@01" is in
	// Named["01"].Verify.
	Named map[string]*Set

	// Broken has the error of each role that the source holds and that cannot be used.
	// The set can still be used for what does not need that role.
	Broken map[Role]error

	// Warnings are sentences about faults with which the set can still be used. Each
	// names the origin and holds no key.
	Warnings []string

	serials      map[Role]string     // what <role>.serial says
	authorities  []*PublicKey        // of the role verify: their keys verify certificates only
	certificates []Certificate       // all, once the set is whole
	roots        []*x509.Certificate // every certificate of the role verify, but for those of SM2 keys
	sm2          []*gm.Certificate   // those of SM2 keys
}

// SignKey returns the private key that signs: of the id, or the plain one where
// id is "" or the serial of its certificate. Where there is no plain key, the
// empty id means the only one that has an id. It returns nil if there is none.
func (s *Set) SignKey(id string) *PrivateKey {
	return pick(matching(s, id, func(s *Set) []*PrivateKey { return optional(s.Sign) }), id)
}

// EncryptKey returns the peer's public key that encrypts, as SignKey does.
func (s *Set) EncryptKey(id string) *PublicKey {
	return pick(matching(s, id, func(s *Set) []*PublicKey { return optional(s.Encrypt) }), id)
}

// VerifyKeys returns the peer's public keys that may have signed a message: all
// of them for the empty id, the plain ones first; otherwise those of that id,
// or, if there are none, those whose certificate has it as its serial. Ids are
// compared as serials are: in any case, without leading zeros.
func (s *Set) VerifyKeys(id string) []*PublicKey {
	return matching(s, id, func(s *Set) []*PublicKey { return s.Verify })
}

// DecryptKeys returns the own private keys that may open an envelope, as
// VerifyKeys does.
func (s *Set) DecryptKeys(id string) []*PrivateKey {
	return matching(s, id, func(s *Set) []*PrivateKey { return s.Decrypt })
}

// NamedSecret returns the secret of "secret@<id>", or the plain secret for the
// empty id; nil if there is none.
func (s *Set) NamedSecret(id string) *Secret {
	if id != "" {
		if s = s.named(id); s == nil {
			return nil
		}
	}
	if s.Secret.empty() {
		return nil
	}
	return s.Secret
}

// Secrets returns the secrets with which a message of the peer may be
// authenticated: the one of NamedSecret first, then those of "verify_secret",
// or of "verify_secret@<id>".
func (s *Set) Secrets(id string) []*Secret {
	if id != "" {
		if s = s.named(id); s == nil {
			return nil
		}
	}
	if !slices.ContainsFunc(s.VerifySecrets, (*Secret).empty) {
		return s.VerifySecrets
	}
	return slices.DeleteFunc(slices.Clone(s.VerifySecrets), (*Secret).empty)
}

// Roots returns all certificates of the role verify, issuers too: the trust roots
// of a certificate that comes in a message. Those of SM2 keys are [Set.SM2Roots].
func (s *Set) Roots() []*x509.Certificate { return s.roots }

// SM2Roots are Roots of SM2 keys, which crypto/x509 does not know.
func (s *Set) SM2Roots() []*gm.Certificate { return s.sm2 }

// Need returns an error that names the first of the roles that the set lacks.
// It wraps ErrMissingRole, or ErrBroken where the source holds the role and it
// cannot be used.
func (s *Set) Need(roles ...Role) error {
	for _, role := range roles {
		if err := s.Broken[role]; err != nil {
			return err
		}
		if s.Has(role) {
			continue
		}
		for broken, err := range s.Broken { // verify, if verify@01 is all there is
			if plain, _ := broken.Split(); plain == role {
				return err
			}
		}
		return i18n.Errorf("%w: %q has no %s; add it to the source", ErrMissingRole, s.Reference, role)
	}
	return nil
}

// broken returns the text of the first of the errors in Broken, or "".
func (s *Set) broken() string {
	for _, role := range slices.Sorted(maps.Keys(s.Broken)) {
		return s.Broken[role].Error()
	}
	return ""
}

// Has reports whether the set has a usable key of a role. With an id it asks
// for that key, as in "secret@iv"; "sign.serial" asks for a serial number.
func (s *Set) Has(role Role) bool {
	if plain, ok := strings.CutSuffix(string(role), serialOf); ok && !strings.Contains(plain, "@") {
		_, ok := s.Serial(Role(plain))
		return ok
	}
	return len(s.held(role)) > 0
}

// Roles returns the roles that the set has, each without its id and then with each
// id, in the order in which they are shown.
func (s *Set) Roles() []Role {
	var out []Role
	for _, role := range Roles {
		for _, id := range append([]string{""}, s.ids()...) {
			if len(s.exactly(role.With(id))) > 0 {
				out = append(out, role.With(id))
			}
		}
	}
	return out
}

// Fingerprints returns the fingerprints of the keys that stand under a role: for a
// role without an id those that have none.
func (s *Set) Fingerprints(role Role) []string {
	var out []string
	for _, info := range s.Info(role) {
		out = append(out, info.Fingerprint)
	}
	return out
}

// Info describes the keys or secrets of a role, in their order: for a role without an
// id those that have none.
func (s *Set) Info(role Role) []Info {
	var out []Info
	for _, key := range s.exactly(role) {
		out = append(out, key.info())
	}
	return out
}

// StrongBits is the size from which on an RSA key gives no warning.
const StrongBits = 2048

// SmallRSA returns the RSA keys below StrongBits, as "sign 1024 bits", each text once.
func (s *Set) SmallRSA() []string {
	var small []string
	for _, role := range s.Roles() {
		for _, info := range s.Info(role) {
			text := i18n.Sprintf("%s %d bits", role, info.Bits)
			if info.Kind == KindRSA && info.Bits < StrongBits && !slices.Contains(small, text) {
				small = append(small, text)
			}
		}
	}
	return small
}

// Kinds returns the kinds of the keys that serve a role, each once, such as "RSA".
// A shared secret has none.
func (s *Set) Kinds(role Role) []string {
	var out []string
	for _, key := range s.held(role) {
		if kind := key.info().Kind; kind != "" && !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out
}

// informer is any key or secret of a set.
type informer interface{ info() Info }

// held returns the keys or secrets of a role, the plain ones first and then those with
// an id.
func (s *Set) held(role Role) []informer {
	plain, id := role.Split()
	if plain == SharedSecret || plain == VerifySecret {
		return s.exactly(role) // a secret never stands for another
	}
	return matching(s, id, func(s *Set) []informer { return s.plain(plain) })
}

// exactly returns the keys or secrets of a role and its id, or of a role without an id.
func (s *Set) exactly(role Role) []informer {
	plain, id := role.Split()
	if id != "" {
		if s = s.named(id); s == nil {
			return nil
		}
	}
	return s.plain(plain)
}

// plain returns the keys or secrets of a role without an id.
func (s *Set) plain(role Role) []informer {
	switch role {
	case Sign:
		return informers(optional(s.Sign))
	case Verify:
		return informers(s.Verify)
	case Encrypt:
		return informers(optional(s.Encrypt))
	case Decrypt:
		return informers(s.Decrypt)
	case SharedSecret:
		if s.Secret.empty() {
			return nil
		}
		return informers(optional(s.Secret))
	case VerifySecret:
		return informers(slices.DeleteFunc(slices.Clone(s.VerifySecrets), func(k *Secret) bool { return k == s.Secret }))
	default:
		return nil
	}
}

// named finds the keys of an id: of exactly that spelling, or of the same serial.
func (s *Set) named(id string) *Set {
	if found := s.Named[id]; found != nil {
		return found
	}
	for _, other := range s.ids() {
		if sameSerial(other, id) {
			return s.Named[other]
		}
	}
	return nil
}

func (s *Set) ids() []string { return slices.Sorted(maps.Keys(s.Named)) }

// optional returns a list of one key, or of none for nil.
func optional[K any](key *K) []*K {
	if key == nil {
		return nil
	}
	return []*K{key}
}

func informers[K informer](keys []K) []informer {
	out := make([]informer, 0, len(keys))
	for _, key := range keys {
		out = append(out, key)
	}
	return out
}

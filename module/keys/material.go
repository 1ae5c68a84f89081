package keys

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Material is what a source holds for one reference: the value of each role as
// it stands in a file or a field, and where it came from.
type Material map[Role]Value

// Value is the material of one role.
type Value struct {
	Text   []byte
	Origin string

	// Private takes the place of Text where the keys themselves stay elsewhere,
	// as in Vault's Transit engine.
	Private []*PrivateKey
}

// Wipe overwrites the texts of private keys, once they have been parsed: the set
// holds them in the form in which they are used. Other texts may be part of a set.
func (m Material) Wipe() {
	for role, value := range m {
		if plain, _ := role.Split(); plain == Sign || plain == Decrypt {
			clear(value.Text)
		}
	}
}

// ErrEmpty says that a file or field of a key or secret is empty.
var ErrEmpty = i18n.Errorf("it is empty")

var errSeveral = i18n.Errorf("there are several keys; only verify and decrypt may hold more than one")

// Parse makes a set of its material. A role that cannot be used is in
// Set.Broken, with an error that names the role and its origin, says what to
// change, and never holds a byte of the material. Where no role at all can be
// used, that error is returned, as a *BrokenError.
func Parse(reference, version string, material Material) (*Set, error) {
	set := &Set{Reference: reference, Version: version, Loaded: time.Now()}
	for _, role := range slices.Sorted(maps.Keys(material)) { // secret before verify_secret
		value := material[role]
		if err := set.add(role, value); err != nil {
			set.breaks(role, i18n.Errorf("reading the %s key from %s: %w", role, value.Origin, err))
		}
	}
	set.finish()
	if len(set.Broken) > 0 && len(set.Roles()) == 0 {
		return nil, set.worst()

	}
	return set, nil
}

// Lost returns an error if a role that served in previous is broken in s: a
// source then keeps previous. A role that was emptied was taken away on purpose.
func (s *Set) Lost(previous *Set) error {
	if previous == nil {
		return nil
	}
	for _, role := range slices.Sorted(maps.Keys(s.Broken)) {
		if err := s.Broken[role]; !errors.Is(err, ErrEmpty) && len(previous.exactly(role)) > 0 {
			return err
		}
	}
	return nil
}

// worst returns the error of the first role that is broken, of one that is not just
// empty if there is one.
func (s *Set) worst() error {
	roles := slices.Sorted(maps.Keys(s.Broken))
	for _, role := range roles {
		if err := s.Broken[role]; !errors.Is(err, ErrEmpty) {
			return err
		}
	}
	return s.Broken[roles[0]]
}

func (s *Set) breaks(role Role, err error) {
	if s.Broken == nil {
		s.Broken = make(map[Role]error)
	}
	s.Broken[role] = &BrokenError{err}
}

func (s *Set) add(role Role, value Value) error {
	if plain, ok := strings.CutSuffix(string(role), serialOf); ok {
		return s.addSerial(Role(plain), value)
	}
	if value.Private == nil && len(bytes.TrimSpace(value.Text)) == 0 {
		return ErrEmpty
	}
	plain, id := role.Split()
	into := s
	if id != "" {
		if into = s.Named[id]; into == nil {
			into = new(Set)
		}
	}
	if err := into.addPlain(plain, id, value); err != nil {
		return err
	}
	if into.Warnings != nil && into != s {
		s.Warnings, into.Warnings = append(s.Warnings, into.Warnings...), nil
	}
	if id != "" {
		if s.Named == nil {
			s.Named = make(map[string]*Set)
		}
		s.Named[id] = into
	}
	return nil
}

func (s *Set) addPlain(role Role, id string, value Value) error {
	switch role {
	case Sign, Decrypt:
		private, err := parsePrivate(value)
		if err != nil {
			return err
		}
		for _, key := range private {
			key.ID = id
		}
		if role == Decrypt {
			s.Decrypt = private
			return nil
		}
		if len(private) > 1 {
			return errSeveral
		}
		s.Sign = private[0]
	case Verify, Encrypt:
		public, certificates, err := parsePublic(value)
		if err != nil {
			return err
		}
		for _, key := range public {
			key.ID = id
		}
		if role == Verify {
			s.Verify, s.roots = public, certificates
			for _, key := range public {
				if key.sm2 != nil {
					s.sm2 = append(s.sm2, key.sm2)
				}
			}
			return nil
		}
		if public, _ = leaves(public, public); len(public) != 1 {
			return errSeveral
		}
		s.Encrypt = public[0]
	case SharedSecret:
		secret, warnings, err := parseSecret(value)
		if err != nil {
			return err
		}
		s.Secret, s.Warnings = secret, append(s.Warnings, warnings...)
		s.VerifySecrets = append([]*Secret{secret}, s.VerifySecrets...)
	case VerifySecret:
		secrets, warnings, err := parseSecrets(value)
		if err != nil {
			return err
		}
		s.VerifySecrets, s.Warnings = append(s.VerifySecrets, secrets...), append(s.Warnings, warnings...)
	default:
		return i18n.Errorf("there is no role %s", role)
	}
	return nil
}

// addSerial reads the serial number in a file or field such as "sign.serial".
func (s *Set) addSerial(role Role, value Value) error {
	serial := strings.TrimSpace(string(value.Text))
	if !validID(serial) {
		return i18n.Errorf("it is no serial number; write it as the provider's console shows it, on one line")
	}
	if s.serials == nil {
		s.serials = make(map[Role]string)
	}
	s.serials[role] = serial
	return nil
}

// finish does what needs all roles: it takes authorities from among the keys that
// verify, and collects the roots.
func (s *Set) finish() {
	keys := s.VerifyKeys("")
	s.Verify, s.authorities = leaves(s.Verify, keys)
	for _, id := range s.ids() {
		named := s.Named[id]
		named.Verify, named.authorities = leaves(named.Verify, keys)
		s.roots, s.sm2 = append(s.roots, named.roots...), append(s.sm2, named.sm2...)
	}
	for _, key := range s.authorityKeys() {
		if !issuedAny(key.Certificate, keys) && !issuedSM2(key.sm2, keys) {
			s.Warnings = append(s.Warnings, i18n.Sprintf("a certificate in %s is an authority's, and verifies no message beside the provider's own; if it is the provider's own, put its public key in its place", key.Origin))
		}
	}
	s.certificates = s.collect()
}

// authorityKeys returns the authorities of every id.
func (s *Set) authorityKeys() []*PublicKey {
	all := slices.Clone(s.authorities)
	for _, id := range s.ids() {
		all = append(all, s.Named[id].authorities...)
	}
	return all
}

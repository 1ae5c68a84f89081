package guess

import (
	"maps"
	"slices"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/keys"
)

// algorithms returns those whose signatures have the size, and for which the set has a
// key.
func (s *search) algorithms(p place) []string {
	var all []string
	if len(s.set.Secrets("")) > 0 || len(s.namedSecrets()) > 0 {
		for _, name := range []string{"md5", "hmac-sha256", "sha256", "sha1", "hmac-sha1", "hmac-md5", "sha512", "hmac-sha512", "sha384", "sm3", "hmac-sm3"} {
			if a, err := algorithm.Named(name); err == nil && len(a.Sum([]byte("k"), nil)) == p.size {
				all = append(all, name)
			}
		}
	}
	for _, key := range s.set.VerifyKeys("") {
		for _, name := range publicAlgorithms(key, p.size) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func publicAlgorithms(key *keys.PublicKey, size int) []string {
	switch {
	case key.RSA != nil && key.RSA.Size() == size:
		return []string{"rsa-sha256", "rsa-sha1", "rsa-md5", "rsa-sha512", "rsa-pss-sha256"}
	case key.Kind == keys.KindSM2 && size == 64:
		return []string{"sm2-rs"}
	case key.Kind == keys.KindSM2 && size > 64 && size < 74:
		return []string{"sm2"}
	case key.Kind == keys.KindEd25519 && size == 64:
		return []string{"ed25519"}
	case key.Kind == keys.KindECDSA && size > 64 && size < 74:
		return []string{"ecdsa-sha256"}
	}
	return nil
}

func (s *search) namedSecrets() []string {
	var names []string
	for id, set := range s.set.Named {
		if set.Secret != nil {
			names = append(names, id)
		}
	}
	slices.Sort(names)
	return names
}

// serial is a placeholder for the key's serial, where a header names it.
func (s *search) serial(name string) string {
	a, err := algorithm.Named(name)
	if err != nil || a.Kind() != algorithm.Public || len(s.set.Named) == 0 {
		return ""
	}
	for _, header := range slices.Sorted(maps.Keys(s.messages[0].Header)) {
		value := s.messages[0].Header.Get(header)
		if _, ok := s.set.Named[value]; ok && value != "" {
			return "{header." + header + "}"
		}
	}
	return ""
}

package keys

import (
	"fmt"
	"math/big"
	"strings"
)

// matching returns the keys of a role that an id means: all for "", else those
// of that id, else those of that serial.
func matching[K informer](s *Set, id string, of func(*Set) []K) []K {
	if id != "" {
		if named := s.named(id); named != nil {
			if found := of(named); len(found) > 0 {
				return found
			}
		}
	}
	all := of(s)
	for _, other := range s.ids() {
		all = append(all[:len(all):len(all)], of(s.Named[other])...)
	}
	if id == "" {
		return all
	}
	var out []K
	for _, key := range all {
		if serial := key.info().Serial; serial != "" && (sameSerial(serial, id) || decimal(serial) == id) {
			out = append(out, key)
		}
	}
	return out
}

// pick returns the first key, or nil. Without an id several keys are ambiguous,
// unless the first is the plain one.
func pick[K any, P interface {
	*K
	informer
}](found []P, id string) P {
	if len(found) == 0 || id == "" && len(found) > 1 && found[0].info().ID != "" {
		return nil
	}
	return found[0]
}

// sameSerial compares serial numbers, which are written in either case, with
// and without leading zeros.
func sameSerial(a, b string) bool {
	trim := func(text string) string {
		if short := strings.TrimLeft(text, "0"); short != "" {
			return short
		}
		return text[:min(len(text), 1)]
	}
	return strings.EqualFold(trim(a), trim(b))
}

// Serial returns the serial number under which the peer knows a key: of the
// certificate that stands beside the plain key of the role, in upper-case hex;
// else what the source holds as "<role>.serial"; else the id of the only key
// that has one. A peer encrypts and signs with one key where it names it by its
// serial: that of encrypt is the id of the only key of verify if the set has no key
// of encrypt, or the same one. It returns false if there is none.
func (s *Set) Serial(role Role) (string, bool) {
	for _, key := range s.exactly(role) {
		if serial := key.info().Serial; serial != "" {
			return serial, true
		}
	}
	if serial := s.serials[role]; serial != "" {
		return serial, true
	}
	plain := s.exactly(role)
	if len(plain) == 0 {
		if named := s.held(role); len(named) == 1 {
			if d := named[0].info(); d.ID != "" {
				return d.ID, true
			}
		}
	}
	if verify := s.held(Verify); role == Encrypt && len(verify) == 1 {
		held, d := s.held(Encrypt), verify[0].info()
		if d.ID != "" && (len(held) == 0 || len(plain) == 1 && plain[0].info().Fingerprint == d.Fingerprint) {
			return d.ID, true
		}
	}
	return "", false
}

// SerialDecimal is Serial as a decimal number, which is how UnionPay and others
// write it (certId). What "<role>.serial" holds in decimal digits alone is taken
// as it stands.
func (s *Set) SerialDecimal(role Role) (string, bool) {
	serial, ok := s.Serial(role)
	if !ok {
		return "", false
	}
	if serial == s.serials[role] && strings.Trim(serial, "0123456789") == "" {
		return serial, true
	}
	text := decimal(serial)
	return text, text != ""
}

// decimal returns a serial in hex as a decimal number, or "" if it is not hex.
func decimal(serial string) string {
	n, ok := new(big.Int).SetString(serial, 16)
	if !ok {
		return ""
	}
	return n.String()
}

// hexSerial returns a certificate's serial number in upper-case hex, two digits a byte.
func hexSerial(n *big.Int) string {
	if n == nil || n.Sign() < 0 {
		return ""
	}
	return fmt.Sprintf("%X", n.Bytes())
}

package scheme

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/keys"
)

// verify verifies one signature and returns the fingerprint of the key that made
// it.
func (in *Incoming) verify(s Signature) (fingerprint string, err error) {
	values := make([]string, 0, len(s.Values))
	for _, value := range s.Values {
		if value != "" {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return "", Failf(Unsigned, "the message has no %s", strings.TrimPrefix(s.Where, "body."))
	}
	candidates, err := in.candidates(s)
	if err != nil {
		return "", err
	}
	escaped := false
	for _, value := range values {
		raw, err := s.Encoding.Decode([]byte(value))
		if err != nil || len(raw) == 0 {
			escaped = escaped || percent.MatchString(value)
			continue
		}
		for _, c := range candidates {
			ok, err := c.verify(in, s, raw)
			if err != nil {
				return "", err
			}
			if ok {
				return c.fingerprint, in.checkFresh(s.Fresh)
			}
		}
	}
	if escaped {
		return "", Failf(BadSignature, "the signature is percent-encoded where it is read: the sender has escaped it twice")
	}
	return "", signatureInvalid(s.Part)
}

// percent is an escape that no encoding of a signature has.
var percent = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// candidate is a key that may have made a signature.
type candidate struct {
	public      any
	secret      *keys.Secret
	fingerprint string
}

func (c candidate) verify(in *Incoming, s Signature, raw []byte) (bool, error) {
	text, err := s.Text.with(c.secret)
	if err != nil {
		return false, err
	}
	if in.Charset != nil {
		text = in.Charset(text)
	}
	if s.Algorithm.Kind() == algorithm.Public {
		return s.Algorithm.Verify(c.public, text, raw, s.Options), nil
	}
	var secret []byte
	if c.secret != nil {
		if secret, err = s.key(c.secret); err != nil {
			return false, err
		}
	}
	return s.Algorithm.VerifySum(secret, text, raw), nil
}

// candidates are the keys that may have made a signature.
func (in *Incoming) candidates(s Signature) ([]candidate, error) {
	if s.Algorithm.Kind() != algorithm.Public {
		return in.secrets(s)
	}
	if s.Certificate != nil {
		key, fingerprint, err := s.Certificate.verify(in.Keys, in.Now)
		if err != nil {
			return nil, err
		}
		return []candidate{{public: key, fingerprint: fingerprint}}, nil
	}
	if s.Role != "" && s.Role != keys.Verify {
		return nil, Failf(Invalid, "a message is verified with keys of the role verify, not of %s", s.Role)
	}
	var found []candidate
	for _, key := range in.Keys.VerifyKeys(s.Key) {
		found = append(found, candidate{public: key.Key, fingerprint: key.Fingerprint})
	}
	switch {
	case len(found) > 0:
		return found, nil
	case s.Key == "":
		return nil, Failf(NeedsKeys, "%w", in.Keys.Need(keys.Verify))
	default:
		return nil, Failf(NeedsKeys, "the key set has no verify key with the serial %s; add it as verify@%s", printable(s.Key), printable(s.Key))
	}
}

// secrets are the shared secrets that may have made a signature: those that are
// accepted besides the secret while it is rotated are among them.
func (in *Incoming) secrets(s Signature) ([]candidate, error) {
	var found []candidate
	for _, secret := range in.Keys.Secrets(s.Key) {
		found = append(found, candidate{secret: secret, fingerprint: secret.Fingerprint})
	}
	if len(found) == 0 && s.Key == "" && s.Algorithm.Kind() == algorithm.Digest && s.Text.With != nil {
		if secret := anySecret(in.Keys); secret != nil { // only named secrets stand in the text
			return []candidate{{fingerprint: secret.Fingerprint}}, nil
		}
	}
	if len(found) == 0 {
		return nil, Failf(NeedsKeys, "%w", in.Keys.Need(secretRole(s.Key)))
	}
	return found, nil
}

func (in *Incoming) checkFresh(f *Freshness) error {
	if f == nil {
		return nil
	}
	if !f.Known {
		return Failf(Stale, "the message has no time stamp that can be read, so that its age is not known")
	}
	switch age := in.Now.Sub(f.Time); {
	case age > f.Window:
		return Failf(Stale, "the message's time stamp is older than %s", f.Window)
	case age < -f.Window:
		return Failf(Stale, "the message's time stamp is more than %s in the future; compare the clocks", f.Window)
	}
	return nil
}

// printable is a text for an error: cut, and without control characters.
func printable(text string) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, []byte(text[:min(len(text), 64)])))
}

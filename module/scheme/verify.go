package scheme

import (
	"crypto/subtle"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
)

// maxValues is how many values one signature of a message may have. Providers send two
// or three while they rotate a key. Each costs a verification for each key.
const maxValues = 16

// Verify checks one signature of a message and its age. It returns no content: it is for
// a recipe's peer, which plays the provider.
func Verify(in Incoming, s Signature) error {
	_, _, err := in.verify(&s)
	return err
}

// verify checks one signature and returns the fingerprint of the key that made it, and
// the bytes of the signature. Where it is over the other text, that is the signature's
// text from then on.
func (in *Incoming) verify(s *Signature) (fingerprint string, raw []byte, err error) {
	found, escaped := 0, false
	var raws [][]byte
	for _, value := range s.Values {
		if value == "" {
			continue
		}
		if found++; found > maxValues {
			return "", nil, Failf(BadSignature, "the message has more than %d signatures in %s", maxValues, s.Where)
		}
		raw, err := s.Encoding.Decode([]byte(value))
		if err == nil && len(raw) > 0 {
			raws = append(raws, raw)
		} else {
			escaped = escaped || percent.MatchString(value)
		}
	}
	if found == 0 {
		return "", nil, Failf(Unsigned, "the message has no %s", strings.TrimPrefix(s.Where, "body."))
	}
	candidates, err := in.candidates(*s)
	if err != nil {
		return "", nil, err
	}
	fingerprint, raw, err = in.madeBy(candidates, *s, raws)
	if err == nil && raw == nil && s.Or != nil {
		other := *s
		if other.Text, err = s.Or(); err == nil {
			fingerprint, raw, err = in.madeBy(candidates, other, raws)
		}
		if raw != nil {
			s.Text = other.Text
		}
	}
	if err != nil {
		return "", nil, err
	}
	if raw != nil {
		return fingerprint, raw, in.checkFresh(s.Fresh)
	}
	if escaped {
		return "", nil, Failf(BadSignature, "the signature is percent-encoded where it is read: the sender has escaped it twice")
	}
	return "", nil, signatureInvalid(s.Part)
}

// madeBy returns which of the keys has made which of the signatures; without one raw is nil.
func (in *Incoming) madeBy(candidates []candidate, s Signature, raws [][]byte) (fingerprint string, raw []byte, err error) {
	for _, c := range candidates {
		verifies, err := c.verifier(in, s)
		if err != nil {
			return "", nil, err
		}
		if i := slices.IndexFunc(raws, verifies); i >= 0 {
			return c.fingerprint, raws[i], nil
		}
	}
	return "", nil, nil
}

// percent matches an escape. No encoding of a signature has a percent sign.
var percent = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// candidate is a key that may have made a signature.
type candidate struct {
	public      any
	secret      *keys.Secret
	fingerprint string
}

// verifier returns a function that checks one value. It builds the text, and the digest
// or MAC of a symmetric signature, once for all values of a message.
func (c candidate) verifier(in *Incoming, s Signature) (func(raw []byte) bool, error) {
	if s.Algorithm.Kind() != algorithm.Public {
		sum, err := c.sum(in.Keys, s, in.Charset)
		return func(raw []byte) bool { return subtle.ConstantTimeCompare(sum, raw) == 1 }, err
	}
	text, err := s.Text.whole(in.Keys.NamedSecret)
	if err != nil {
		return nil, err
	}
	if in.Charset != nil {
		text = in.Charset(text)
	}
	return func(raw []byte) bool { return s.Algorithm.Verify(c.public, text, raw, s.Options) }, nil
}

// candidates returns the keys that may have made a signature.
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
		return nil, Failf(NeedsKeys, "the key set has no verify key with the serial %s; add it as verify@%s", body.ShowName(s.Key), body.ShowName(s.Key))
	}
}

// secrets returns the shared secrets that may have made a signature, verify_secret included.
func (in *Incoming) secrets(s Signature) ([]candidate, error) {
	var found []candidate
	for _, secret := range in.Keys.Secrets(s.Key) {
		found = append(found, candidate{secret: secret, fingerprint: secret.Fingerprint})
	}
	if len(found) == 0 && s.Key == "" && s.Algorithm.Kind() == algorithm.Digest && s.Text.With != nil {
		if secret := anySecret(in.Keys); secret != nil { // the text has named secrets only
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

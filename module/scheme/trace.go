package scheme

import "crypto/sha256"

// Trace describes a signature that was made or verified. It holds no secret and no key,
// so that it may be shown.
type Trace struct {
	Where       string // its place, such as "body.sign"
	Algorithm   string
	Encoding    string
	Part        string            // what it covers; "" means Direction.Part
	Fingerprint string            // of the key
	Text        []byte            // the digested text, with {secret} in place of each secret
	Digest      [sha256.Size]byte // SHA-256 of the canonical string, without secrets
}

func traceOf(s Signature, fingerprint string) Trace {
	return Trace{Digest: sha256.Sum256(s.Text.Canonical), Where: s.Where, Algorithm: s.Algorithm.Name(), Encoding: s.Encoding.Name(), Part: s.Part, Fingerprint: fingerprint, Text: s.Text.redacted()}
}

// Traces returns the signatures of a request in the order in which they were made.
func (s *Sealed) Traces() []Trace {
	traces := make([]Trace, len(s.made))
	for i, m := range s.made {
		traces[i] = traceOf(m.signature, m.fingerprint)
	}
	return traces
}

// Traces returns the signatures of a verified message.
func (v *Verified) Traces() []Trace {
	traces := make([]Trace, len(v.signatures))
	for i, s := range v.signatures {
		traces[i] = traceOf(s, v.fingerprints[i])
	}
	return traces
}

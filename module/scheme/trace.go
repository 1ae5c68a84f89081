package scheme

import "crypto/sha256"

// Trace is what may be shown of a signature that was made or has verified. It
// holds no secret and no key.
type Trace struct {
	Where       string // it stands, as "body.sign"
	Algorithm   string
	Encoding    string
	Part        string            // what it covers; "" is what the direction says
	Fingerprint string            // of the key
	Text        []byte            // that was digested, with {secret} where a secret stands
	Digest      [sha256.Size]byte // SHA-256 of the canonical string, which has no secret
}

func traceOf(s Signature, fingerprint string, digest [sha256.Size]byte) Trace {
	return Trace{Digest: digest, Where: s.Where, Algorithm: s.Algorithm.Name(), Encoding: s.Encoding.Name(), Part: s.Part, Fingerprint: fingerprint, Text: s.Text.hole()}
}

// Traces are the signatures of a request, in the order in which they were made.
func (s *Sealed) Traces() []Trace {
	traces := make([]Trace, len(s.made))
	for i, m := range s.made {
		traces[i] = traceOf(m.signature, m.fingerprint, m.digest)
	}
	return traces
}

// Traces are the signatures of a message that has verified.
func (v *Verified) Traces() []Trace {
	traces := make([]Trace, len(v.signatures))
	for i, s := range v.signatures {
		traces[i] = traceOf(s, v.fingerprints[i], sha256.Sum256(s.Text.Canonical))
	}
	return traces
}

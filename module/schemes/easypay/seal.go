package easypay

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/envelope"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

// memory is what opening the answer needs of the request.
type memory struct {
	key      []byte          // the symmetric key, or nil if nothing was encrypted
	envelope string          // in which it travelled
	asText   map[string]bool // for each encrypted member, whether the client gave it as a string
}

// Seal encrypts, then signs: the ciphertext and the envelope are signed as
// ordinary values.
func (s *Scheme) Seal(request scheme.Request) (*scheme.Sealed, error) {
	part, ok := request.Body.Object(memberPart)
	if !ok {
		return nil, scheme.Failf(scheme.Invalid, "the request needs a member bizData that is an object")
	}
	var edits body.Editor
	remembered := &memory{asText: make(map[string]bool)}
	changed, err := s.encrypt(request, part, &edits, remembered)
	if err != nil {
		return nil, err
	}

	pairs := make([]canonical.Pair, 0, len(part.Members())+1)
	for _, m := range part.Members() {
		value, isChanged := changed[string(m.Name())]
		switch {
		case isChanged:
			delete(changed, string(m.Name()))
		case !m.IsScalar():
			return nil, scheme.Failf(scheme.Invalid, "bizData.%s is an object or an array, which easypay does not sign; give it as a string, or name it in the option encrypt", m.Name())
		case m.IsNull():
			continue
		default:
			value = m.Text()
		}
		pairs = s.appendPair(pairs, m.Name(), value)
	}
	for name, value := range changed { // the envelope, where the client had none
		pairs = s.appendPair(pairs, []byte(name), value)
	}
	canonical.SortByName(pairs)
	message := canonical.AppendJoined(nil, pairs)

	sig, err := signature.SignRSA(request.Keys.Sign, message)
	if err != nil {
		return nil, scheme.SigningFailed(err)
	}
	edits.SetString(request.Body, memberSign, sig)
	edits.SetString(request.Body, memberSignType, s.SignType)

	sealed := &scheme.Sealed{
		Body:         edits.Apply(request.Body.Source()),
		Canonical:    message,
		Fingerprints: []string{request.Keys.Sign.Fingerprint},
		Request:      request.Body,
		Keys:         request.Keys,
		Memory:       remembered,
	}
	if remembered.key != nil {
		sealed.Fingerprints = append(sealed.Fingerprints, request.Keys.Encrypt.Fingerprint)
	}
	return sealed, nil
}

// appendPair adds what is signed of one member: the value trimmed as Java's
// trim does, and nothing if it is empty then. Only the signed value is trimmed.
func (s *Scheme) appendPair(pairs []canonical.Pair, name, value []byte) []canonical.Pair {
	value = canonical.TrimJava(value)
	if len(value) == 0 && s.Empty == "skip" {
		return pairs
	}
	return append(pairs, canonical.Pair{Name: name, Value: value})
}

// encrypt replaces the members that are to be encrypted and adds the envelope.
// It returns the new texts by member.
func (s *Scheme) encrypt(request scheme.Request, part *body.Object, edits *body.Editor, remembered *memory) (map[string][]byte, error) {
	changed := make(map[string][]byte)
	for _, name := range s.Encrypt {
		m, ok := part.Get(name)
		if !ok || m.IsEmpty() {
			continue
		}
		if remembered.key == nil {
			remembered.key = envelope.NewKey()
		}
		ciphertext, err := envelope.Encrypt(remembered.key, m.Text(), s.padding())
		if err != nil {
			return nil, scheme.Failf(scheme.Invalid, "encrypting bizData.%s: %w", name, err)
		}
		remembered.asText[name] = m.Kind() == body.String
		changed[name] = []byte(encoding.EncodeBase64(ciphertext))
		edits.Replace(m, body.AppendQuote(nil, changed[name]))
	}
	if remembered.key == nil {
		return changed, nil
	}
	wrapped, err := envelope.Wrap(request.Keys.Encrypt.RSA, s.EnvelopePrefix, remembered.key)
	if err != nil {
		return nil, scheme.SigningFailed(err)
	}
	remembered.envelope = wrapped
	changed[memberEnvelope] = []byte(wrapped)
	edits.SetString(part, memberEnvelope, wrapped)
	return changed, nil
}

package easypay

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/envelope"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
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
	object, ok := request.Body.Object(memberPart)
	if !ok {
		return nil, scheme.Failf(scheme.Invalid, "the request needs a member bizData that is an object")
	}
	part, message := body.NewDraft(object), body.NewDraft(request.Body)
	remembered := &memory{asText: make(map[string]bool)}
	if err := s.encrypt(request, part, remembered); err != nil {
		return nil, err
	}
	if err := checkScalars(part.Members()); err != nil {
		return nil, err
	}
	message.SetString(memberSignType, s.SignType)
	sealed, err := request.Sign(signature.SHA256WithRSA, s.covered(memberPart, part.Members()), memberSign, message, part)
	if err != nil {
		return nil, err
	}
	sealed.Order, sealed.Memory = s.Order(object, memberOrder), remembered
	if remembered.key != nil {
		sealed.Fingerprints = append(sealed.Fingerprints, request.Keys.Encrypt.Fingerprint)
	}
	return sealed, nil
}

// encrypt replaces the members that are to be encrypted and adds the envelope.
func (s *Scheme) encrypt(request scheme.Request, part *body.Draft, remembered *memory) error {
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
			return scheme.Failf(scheme.Invalid, "encrypting bizData.%s: %w", name, err)
		}
		remembered.asText[name] = m.Kind() == body.String
		part.SetString(name, encoding.EncodeBase64(ciphertext))
	}
	if remembered.key == nil {
		return nil
	}
	if err := request.Keys.Need(keys.Encrypt); err != nil {
		return scheme.Failf(scheme.NeedsKeys, "%w", err)
	}
	wrapped, err := envelope.Wrap(request.Keys.Encrypt.RSA, s.EnvelopePrefix, remembered.key)
	if err != nil {
		return scheme.SigningFailed(err)
	}
	remembered.envelope = wrapped
	part.SetString(memberEnvelope, wrapped)
	return nil
}

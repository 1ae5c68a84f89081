package easypay

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/envelope"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

// Open verifies bizData, matches it to the request, and then decrypts. Error
// answers are signed as well: the page's sample is one.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	sig, err := scheme.SignatureText(answer.Body, memberSign)
	if err != nil {
		return nil, err
	}
	part, name, err := signedPart(answer.Body, scheme.KindResponse)
	if err != nil {
		return nil, err
	}
	opened, err := s.verify(answer.Body, part, name, sig, answer.Keys, answer.Charset)
	if err != nil {
		return nil, err
	}
	remembered := new(memory)
	if answer.Sealed != nil {
		asked, _ := answer.Sealed.Request.Object(memberPart)
		if err := s.Check(asked, part, memberOrder); err != nil {
			return nil, err
		}
		remembered = answer.Sealed.Memory.(*memory)
	}
	if err := s.decrypt(opened, answer.Body, part, remembered, answer.Keys); err != nil {
		if answer.Sealed != nil {
			return nil, err
		}
		opened.Note = "verified, not decryptable: the envelope is not one for these keys; an echoed envelope opens only with the key of its request"
	} else if answer.Sealed == nil && part.Has(memberEnvelope) && !s.hasEncrypted(part) {
		opened.Note = "verified, not decryptable: there is an envelope and no encrypted member; an echoed envelope opens only with the key of its request"
	}
	return opened, nil
}

// verify verifies the signature over one part of a message.
func (s *Scheme) verify(message, part *body.Object, name, sig string, set *keys.Set, charset func([]byte) []byte) (*scheme.Opened, error) {
	pairs := s.pairs(part)
	text := canonical.AppendJoined(nil, pairs)
	signed := text
	if charset != nil {
		signed = charset(text)
	}
	key, err := signature.VerifyRSA(set.Verify, signed, sig)
	if err != nil {
		return nil, scheme.SignatureInvalid(name)
	}
	if err := canonical.Ambiguous(pairs); err != nil {
		return nil, scheme.Failf(scheme.Ambiguous, "the message can be read in two ways: %w", err)
	}
	return &scheme.Opened{Body: message.Source(), Canonical: text, Fingerprints: []string{key.Fingerprint}, Signed: name}, nil
}

// errDecryption is the one error for every cause.
func errDecryption() error {
	return scheme.Failf(scheme.Decryption, "the encrypted members do not open with the request's key or any of the configured decrypt keys")
}

// decrypt replaces the encrypted members of a verified part with their text.
func (s *Scheme) decrypt(opened *scheme.Opened, message, part *body.Object, remembered *memory, set *keys.Set) error {
	encrypted := make([]body.Member, 0, len(s.Encrypt))
	for _, name := range s.Encrypt {
		if m, ok := part.Get(name); ok && !m.IsEmpty() {
			encrypted = append(encrypted, m)
		}
	}
	if len(encrypted) == 0 {
		return nil
	}
	wrapped, _ := part.Text(memberEnvelope)
	if remembered.key != nil && wrapped == remembered.envelope {
		return s.decryptAll(opened, message, encrypted, remembered.key, remembered)
	}
	for _, private := range set.Decrypt {
		key, err := envelope.Unwrap(private.Decrypter, s.EnvelopePrefix, wrapped)
		if err == nil && s.decryptAll(opened, message, encrypted, key, remembered) == nil {
			opened.Fingerprints = append(opened.Fingerprints, private.Fingerprint)
			return nil
		}
	}
	return errDecryption()
}

func (s *Scheme) decryptAll(opened *scheme.Opened, message *body.Object, encrypted []body.Member, key []byte, remembered *memory) error {
	var edits body.Editor
	for _, m := range encrypted {
		if m.Kind() != body.String {
			return errDecryption()
		}
		ciphertext, err := encoding.DecodeBase64(m.Text())
		if err != nil {
			return errDecryption()
		}
		text, err := envelope.Decrypt(key, ciphertext, s.padding())
		if err != nil {
			return errDecryption()
		}
		// A client that sent JSON gets JSON, one that sent a string a string;
		// where it sent neither, what the text is decides.
		asText, asked := remembered.asText[string(m.Name())]
		switch isJSON := body.Valid(text) == nil; {
		case asText, !asked && !isJSON:
			edits.Replace(m, body.AppendQuote(nil, text))
		case isJSON:
			edits.Replace(m, text)
		default:
			return errDecryption()
		}
	}
	opened.Body = edits.Apply(message.Source())
	return nil
}

package easypay

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/envelope"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

// Open verifies bizData, matches it to the request, and then decrypts. Error
// answers are signed as well: the page's sample is one.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOf(answer.Body, memberSign)
	if err != nil {
		return nil, err
	}
	name, part, err := partOf(answer.Body)
	if err != nil {
		return nil, err
	}
	opened, err := answer.Verify(signature.SHA256WithRSA, s.covered(name, part.Members()), sig)
	if err != nil {
		return nil, err
	}
	if answer.Sealed == nil {
		s.decryptAlone(opened, answer, part)
		return opened, nil
	}
	if err := answer.Sealed.Order.Check(part); err != nil {
		return nil, err
	}
	if err := s.decrypt(opened, answer.Body, part, answer.Sealed.Memory.(*memory), answer.Keys); err != nil {
		return nil, err
	}
	return opened, nil
}

// decryptAlone decrypts an answer whose request is not known. An envelope that
// echoes the request's cannot be opened then, which is no failure.
func (s *Scheme) decryptAlone(opened *scheme.Opened, answer scheme.Answer, part *body.Object) {
	const echoed = "an echoed envelope opens only with the key of its request"
	if err := s.decrypt(opened, answer.Body, part, new(memory), answer.Keys); err != nil {
		opened.Note = "verified, not decryptable: the envelope does not open with these keys and options; " + echoed +
			"; if it is not echoed, set envelope_prefix to what the provider puts before the symmetric key, such as 01|, or leave it out, and padding to how the provider fills up the text"
	} else if part.Has(memberEnvelope) && !s.hasEncrypted(part) {
		opened.Note = "verified, not decryptable: there is an envelope and no encrypted member; " + echoed
	}
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

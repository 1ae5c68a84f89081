package hbsk

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Open verifies an answer, matches it to the request, and gives data back as
// JSON if the client gave it as JSON.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	remembered := &memory{key: s.DeveloperKey}
	if answer.Sealed != nil {
		remembered = answer.Sealed.Memory.(*memory)
	}
	opened, err := s.verify(answer.Body, remembered.key, answer.Keys, answer.Charset)
	if err != nil {
		return nil, err
	}
	data, err := scheme.Inside(answer.Body, memberData)
	if err != nil {
		return nil, err
	}
	if err := s.Check(remembered.data, data, memberOrder); err != nil {
		return nil, err
	}
	if err := remembered.wrapped.Unwrap(opened, answer.Body); err != nil {
		return nil, err
	}
	return opened, nil
}

// verify verifies an answer or a notification.
func (s *Scheme) verify(text *body.Object, key string, set *keys.Set, charset func([]byte) []byte) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOf(text, memberSign)
	if err != nil {
		return nil, err
	}
	m, err := s.responseMessage.fill(text, key)
	if err != nil {
		return nil, err
	}
	opened, err := m.covered().Verify(s.algorithm(m, charset), set, nil, sig)
	if err != nil {
		return nil, err
	}
	opened.Body = text.Source()
	return opened, nil
}

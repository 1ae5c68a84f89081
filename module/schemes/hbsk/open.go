package hbsk

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Open verifies an answer, matches it to the request, and gives data back as
// JSON if the client gave it as JSON.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	remembered := &memory{key: s.DeveloperKey}
	if answer.Sealed != nil {
		remembered = answer.Sealed.Memory.(*memory)
	}
	opened, err := s.verify(answer, remembered.key)
	if err != nil {
		return nil, err
	}
	data, err := scheme.Inside(answer.Body, memberData)
	if err != nil {
		return nil, err
	}
	if answer.Sealed != nil {
		if err := answer.Sealed.Order.Check(data); err != nil {
			return nil, err
		}
	}
	if m, _ := answer.Body.Get(memberData); data != nil && m.Kind() == body.String && len(remembered.wrapped) > 0 {
		var edits body.Editor // data has been read
		edits.Replace(m, data.Source())
		opened.Body = edits.Apply(opened.Body)
		return opened, nil
	}
	if err := remembered.wrapped.Unwrap(opened, answer.Body); err != nil {
		return nil, err
	}
	return opened, nil
}

// verify verifies an answer, or a notification as one.
func (s *Scheme) verify(answer scheme.Answer, key string) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOf(answer.Body, memberSign)
	if err != nil {
		return nil, err
	}
	m, err := s.responseMessage.fill(answer.Body, key)
	if err != nil {
		return nil, err
	}
	opened, err := answer.Verify(s.algorithm(m, answer.Charset), m.covered(), sig)
	if err != nil {
		return nil, err
	}
	for _, p := range s.responseMessage { // what is signed besides data
		if p.secret() {
			continue
		}
		if err := scheme.CheckTwins(answer.Body, p.member); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

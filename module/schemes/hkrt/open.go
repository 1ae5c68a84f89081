package hkrt

import "github.com/countersign/caddy-countersign/module/scheme"

// Open verifies an answer and matches it to the request.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOf(answer.Body, memberSign)
	if err != nil {
		return nil, err
	}
	opened, err := s.covered(answer.Body.Members()).Verify(md5, answer.Keys, answer.Charset, sig)
	if err != nil {
		return nil, err
	}
	opened.Body = answer.Body.Source()
	if answer.Sealed != nil {
		if err := s.Check(answer.Sealed.Request, answer.Body, memberOrder); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

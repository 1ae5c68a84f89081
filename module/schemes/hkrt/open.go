package hkrt

import "github.com/countersign/caddy-countersign/module/oldscheme"

// Open verifies an answer and matches it to the request.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOf(answer.Body, memberSign)
	if err != nil {
		return nil, err
	}
	opened, err := answer.Verify(md5, s.coveredOfAnswer(answer.Body.Members()), sig)
	if err != nil {
		return nil, err
	}
	if answer.Sealed != nil {
		if err := answer.Sealed.Order.Check(answer.Body); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

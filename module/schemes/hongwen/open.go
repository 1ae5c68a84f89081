package hongwen

import "github.com/countersign/caddy-countersign/module/oldscheme"

// Open verifies an answer, matches it to the request, and gives back as JSON
// what the client gave as JSON.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOf(answer.Body, memberSign)
	if err != nil {
		return nil, err
	}
	opened, err := answer.Verify(algorithm, s.covered(answer.Body.Members()), sig)
	if err != nil {
		return nil, err
	}
	if answer.Sealed == nil {
		return opened, nil
	}
	if err := answer.Sealed.Order.Check(answer.Body); err != nil {
		return nil, err
	}
	if err := answer.Sealed.Memory.(scheme.Wrapped).Unwrap(opened, answer.Body); err != nil {
		return nil, err
	}
	return opened, nil
}

package jeepay

import (
	"regexp"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Open verifies data, matches it to the request, and gives back as JSON what
// the client gave as JSON.
func (s *Scheme) Open(answer scheme.Answer) (*scheme.Opened, error) {
	if isUnsigned(answer.Body) {
		return &scheme.Opened{Body: answer.Body.Source(), Unsigned: true}, nil
	}
	sig, err := scheme.SignatureOf(answer.Body, memberSign)
	if err != nil {
		return nil, err
	}
	data, ok := answer.Body.Object(memberData)
	if !ok {
		return nil, errNoData()
	}
	c, err := covered(memberData, data.Members())
	if err != nil {
		return nil, err
	}
	opened, err := answer.Verify(s.algorithm(), c, sig)
	if err != nil {
		return nil, err
	}
	if answer.Sealed == nil {
		return opened, nil
	}
	if err := answer.Sealed.Order.Check(data); err != nil {
		return nil, err
	}
	if err := answer.Sealed.Memory.(scheme.Wrapped).Unwrap(opened, data); err != nil {
		return nil, err
	}
	return opened, nil
}

func errNoData() error {
	return scheme.Failf(scheme.Invalid, "the answer has no member data that is an object, which is what is signed")
}

// notZero is a number that is an error code. "0", 0.0 and -0 are not: a
// provider writes none of them, and an application may take them for success.
var notZero = regexp.MustCompile(`^-?[1-9][0-9]*$`)

// isUnsigned reports whether an answer is one that the provider does not sign:
// an error without data (code).
func isUnsigned(answer *body.Object) bool {
	for _, name := range []string{memberSign, memberData} {
		if m, ok := answer.Get(name); ok && !m.IsNull() {
			return false
		}
	}
	code, ok := answer.Get(memberCode)
	return ok && code.Kind() == body.Number && notZero.Match(code.Raw())
}

package scheme_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Match compares the order number of the answer with that of the request. Seal refuses a
// request with a second order number whose name differs only in case: the provider may
// read that one.
func TestATwinOfMatchDoesNotLeave(t *testing.T) {
	set := secret("0123456789abcdef")
	for text, want := range map[string]scheme.Reason{
		`{"order":"1","amount":"5"}`:            0,
		`{"order":"1","Order":"2"}`:             scheme.Ambiguous,
		`{"ORDER":"2"}`:                         scheme.Ambiguous,
		`{"order":"1","data":{"ORDER":"2"}}`:    0,
		`{"order":"1","amount":"5","AMOUNT":6}`: 0,
	} {
		_, err := scheme.Seal(honest(), scheme.Request{Message: read(t, message.Request, text), Keys: set, Now: now})
		assert.Equal(t, want, scheme.ReasonOf(err), "%s: %v", text, err)
	}
}

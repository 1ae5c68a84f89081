package scheme

import (
	"bytes"
	"fmt"

	"github.com/countersign/caddy-countersign/module/body"
)

// Matching is the option that all schemes have.
type Matching struct {
	// Match says whether an answer must name the same order as its request:
	// "on" (default) or "off". A scheme's documentation says which members
	// tie an answer to its request.
	Match string `json:"match,omitempty"`
}

// Option is the option "match".
func (m *Matching) Option() Option {
	return Option{Name: "match", Set: Enum("match", &m.Match, "on", "off").Set}
}

// Validate fills in the default.
func (m *Matching) Validate() error { return OneOf("match", &m.Match, "on", "off") }

// Check returns an Error with the reason Mismatch if the request and the answer
// both have one of the members, neither null nor empty, and it differs.
func (m *Matching) Check(request, answer *body.Object, members ...string) error {
	if m.Match == "off" || request == nil || answer == nil {
		return nil
	}
	for _, name := range members {
		asked, ok1 := given(request, name)
		answered, ok2 := given(answer, name)
		if ok1 && ok2 && !bytes.Equal(asked.Text(), answered.Text()) {
			return &Error{Reason: Mismatch, Detail: fmt.Sprintf("the answer names another %s than the request", name)}
		}
	}
	return nil
}

// given is a scalar member that is neither null nor empty.
func given(o *body.Object, name string) (body.Member, bool) {
	m, ok := o.Get(name)
	return m, ok && m.IsScalar() && !m.IsEmpty()
}

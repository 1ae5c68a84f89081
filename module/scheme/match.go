package scheme

import (
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
	for _, member := range members {
		asked, ok1 := request.Text(member)
		answered, ok2 := answer.Text(member)
		if ok1 && ok2 && asked != answered {
			return &Error{Reason: Mismatch, Detail: fmt.Sprintf("the answer names another %s than the request", member)}
		}
	}
	return nil
}

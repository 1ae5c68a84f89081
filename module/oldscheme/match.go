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

// Order are the members of a request that its answer must repeat where it has
// them. It holds nothing else of the request.
type Order []orderMember

type orderMember struct{ name, text string }

// Order is what a request says of its order in those of the members that it has,
// neither null nor empty.
func (m *Matching) Order(request *body.Object, members ...string) Order {
	if m.Match == "off" || request == nil {
		return nil
	}
	order := make(Order, 0, len(members))
	for _, name := range members {
		if asked, ok := given(request, name); ok {
			order = append(order, orderMember{name, string(asked.Text())})
		}
	}
	return order
}

// Check returns an Error with the reason Mismatch if the answer has one of the
// members, neither null nor empty, and it differs.
func (o Order) Check(answer *body.Object) error {
	if answer == nil {
		return nil
	}
	for _, asked := range o {
		if answered, ok := given(answer, asked.name); ok && string(answered.Text()) != asked.text {
			return &Error{Reason: Mismatch, Detail: fmt.Sprintf("the answer names another %s than the request", asked.name)}
		}
	}
	return nil
}

// given is a scalar member that is neither null nor empty.
func given(o *body.Object, name string) (body.Member, bool) {
	m, ok := o.Get(name)
	return m, ok && m.IsScalar() && !m.IsEmpty()
}

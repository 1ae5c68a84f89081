package hbsk

import (
	"strconv"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// memory is what opening the answer needs of the request.
type memory struct {
	key     string
	wrapped scheme.Wrapped // data, if the client gave it as JSON
}

// Seal adds key and time where there are none, makes a string of data, and signs
// what the template says.
func (s *Scheme) Seal(request scheme.Request) (*scheme.Sealed, error) {
	draft := body.NewDraft(request.Body)
	draft.Default(memberKey, s.DeveloperKey)
	if !draft.Has(memberTime) {
		draft.SetRaw(memberTime, strconv.AppendInt(nil, request.Now.Unix(), 10))
	}
	if !draft.Has(memberData) {
		return nil, scheme.Failf(scheme.Invalid, "the request needs data, an object or a string that holds one")
	}
	data, err := scheme.Inside(request.Body, memberData)
	if err != nil {
		return nil, err
	}
	remembered := new(memory)
	if m, _ := draft.Get(memberData); !m.IsScalar() {
		remembered.wrapped = scheme.Wrapped{memberData}
		draft.Wrap(memberData)
	}
	if m, ok := draft.Get(memberKey); ok && m.IsScalar() && !m.IsEmpty() {
		remembered.key = string(m.Text())
	}
	m, err := s.message.fill(draft, "")
	if err != nil {
		return nil, err
	}
	sealed, err := request.Sign(s.algorithm(m, nil), m.covered(), memberSign, draft)
	if err != nil {
		return nil, err
	}
	sealed.Order, sealed.Memory = s.Order(data, memberOrder), remembered
	return sealed, nil
}

package hkrt

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Seal adds accessid where there is none and access_id is set, and signs all.
func (s *Scheme) Seal(request scheme.Request) (*scheme.Sealed, error) {
	draft := body.NewDraft(request.Body)
	draft.Default(memberAccessID, s.AccessID)
	c, err := s.coveredOfRequest(draft.Members())
	if err != nil {
		return nil, err
	}
	sealed, err := request.Sign(md5, c, memberSign, draft)
	if err != nil {
		return nil, err
	}
	sealed.Order = s.Order(request.Body, memberOrder)
	return sealed, nil
}

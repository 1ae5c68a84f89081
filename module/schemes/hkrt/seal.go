package hkrt

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Seal adds accessid where there is none, and signs all.
func (s *Scheme) Seal(request scheme.Request) (*scheme.Sealed, error) {
	draft := body.NewDraft(request.Body)
	draft.Default(memberAccessID, s.AccessID)
	if !draft.Has(memberAccessID) {
		return nil, scheme.Failf(scheme.Invalid, "the request has no accessid; give it, or set access_id")
	}
	c, err := s.coveredOfRequest(draft.Members())
	if err != nil {
		return nil, err
	}
	return request.Sign(md5, c.Text, memberSign, draft)
}

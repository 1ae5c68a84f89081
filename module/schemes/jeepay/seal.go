package jeepay

import (
	"strconv"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Seal adds what is missing, makes strings of nested values, and signs all.
func (s *Scheme) Seal(request scheme.Request) (*scheme.Sealed, error) {
	draft := body.NewDraft(request.Body)
	wrapped := scheme.Wrap(draft)
	draft.Default(memberMchNo, s.MchNo)
	draft.Default(memberAppID, s.AppID)
	draft.Default(memberVersion, "1.0")
	draft.Default(memberTime, strconv.FormatInt(request.Now.UnixMilli(), 10))
	draft.SetString(memberSignType, s.SignType)

	c, err := covered("*", draft.Members())
	if err != nil {
		return nil, err
	}
	sealed, err := request.Sign(s.algorithm(), c, memberSign, draft)
	if err != nil {
		return nil, err
	}
	sealed.Order, sealed.Memory = s.Order(request.Body, orderMembers...), wrapped
	return sealed, nil
}

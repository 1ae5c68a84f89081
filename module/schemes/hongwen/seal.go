package hongwen

import (
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Seal adds what is missing, makes a string of biz_content, and signs all.
func (s *Scheme) Seal(request scheme.Request) (*scheme.Sealed, error) {
	draft := body.NewDraft(request.Body)
	content, wrapped, err := wrapContent(draft, request.Body)
	if err != nil {
		return nil, err
	}
	draft.Default(memberMchNo, s.MchNo)
	draft.Default(memberMethod, s.Method)
	draft.Default(memberCharset, "utf-8")
	draft.Default(memberVersion, "1.0")
	draft.Default(memberTimestamp, request.Now.In(chinaStandardTime).Format(timeLayout))
	draft.SetString(memberSignType, "RSA")
	for _, m := range draft.Members() {
		if m.Kind() == body.Obj {
			return nil, scheme.Failf(scheme.Invalid, "the member %s is an object, which hongwen does not sign; give it as a string, or in biz_content", m.Name())
		}
	}
	sealed, err := request.Sign(algorithm, s.covered(draft.Members()), memberSign, draft)
	if err != nil {
		return nil, err
	}
	sealed.Order, sealed.Memory = s.Order(content, memberOrder), wrapped
	return sealed, nil
}

// wrapContent makes a string of biz_content, and before that of what nests in
// it. A string stays as it is. It returns biz_content, or nil if it is no object,
// and what the client gave as JSON, biz_content and in it.
func wrapContent(draft *body.Draft, request *body.Object) (*body.Object, scheme.Wrapped, error) {
	m, _ := draft.Get(memberContent)
	switch {
	case !draft.Has(memberContent):
		return nil, nil, scheme.Failf(scheme.Invalid, "the request needs biz_content, an object or a string that holds one")
	case m.Kind() == body.String:
		content, err := scheme.Inside(request, memberContent)
		return content, nil, err
	case m.Kind() == body.Obj:
		content, err := body.Parse(m.Raw())
		if err != nil {
			return nil, nil, scheme.Failf(scheme.Invalid, "reading biz_content: %w", err)
		}
		inner := body.NewDraft(content)
		wrapped := append(scheme.Wrap(inner), memberContent)
		draft.SetText(memberContent, inner.Apply())
		inner.Release()
		return content, wrapped, nil
	default:
		return nil, nil, scheme.Failf(scheme.Invalid, "biz_content is neither an object nor a string")
	}
}

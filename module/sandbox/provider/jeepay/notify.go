package jeepay

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// notification returns a form whose parameters are all signed, with MD5 even where
// the application signs with RSA2: the open-source server knows no other way.
// A merchant without a shared secret gets none.
func (e *exchange) notification(data wire.Value) (*provider.Notification, error) {
	if len(e.Keys.Secrets) == 0 {
		return nil, nil
	}
	params := wire.Obj()
	add := func(m wire.Member) {
		if m.Value.Scalar() && !m.Value.Empty() {
			params = params.With(m.Name, wire.Str(m.Value.Text))
		}
	}
	for _, name := range append([]string{"mchNo", "appId"}, binding...) {
		add(wire.M(name, e.params.Get(name)))
	}
	for _, m := range data.Members {
		add(m)
	}
	params = params.With("reqTime", wire.Str(e.milliseconds()))

	canonical, err := canonical(params)
	if err != nil {
		return nil, err
	}
	sign, err := signature.SignDigest(provider.NoFault, e.Keys.Secrets, md5Of(canonical))
	if err != nil {
		return nil, err
	}
	form := url.Values{"sign": {strings.ToUpper(sign)}}
	for _, m := range params.Members {
		form.Set(m.Name, m.Value.Text)
	}
	return &provider.Notification{
		ContentType: "application/x-www-form-urlencoded",
		Body:        []byte(form.Encode()),
		Acknowledged: func(status int, body []byte) bool {
			return status/100 == 2 && strings.TrimSpace(string(body)) == "success"
		},
	}, nil
}

// milliseconds returns the provider's clock as Jeepay writes it.
func (e *exchange) milliseconds() string { return strconv.FormatInt(e.Now.UnixMilli(), 10) }

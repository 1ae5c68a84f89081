package main

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// jeepay signs the members of a request, and data of an answer, with MD5.
type jeepay struct {
	mchNo, appID string
	description  scheme.Description
}

func (*jeepay) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "countersign.schemes.jeepay_go", New: func() caddy.Module { return new(jeepay) }}
}

func (*jeepay) Options() []recipe.Option { return []recipe.Option{{Name: "mch_no"}, {Name: "app_id"}} }

func (j *jeepay) Configure(settings recipe.Settings) (err error) {
	if j.mchNo, err = one(settings, "mch_no"); err != nil {
		return err
	}
	if j.appID, err = one(settings, "app_id"); err != nil {
		return err
	}
	roles := []keys.Role{keys.SharedSecret}
	match := []body.Path{{"data", "payOrderId"}, {"data", "mchOrderNo"}, {"data", "receiverId"}}
	j.description = scheme.Description{
		Name: "jeepay_go", Methods: []string{"POST"}, Needs: needsSecret,
		Request: &scheme.Direction{Part: "*", Roles: roles, Signed: unlessSign},
		Answer: &scheme.Direction{
			Part: "data", Roles: roles, Reads: append([]body.Path{pathSign, {"data"}, {"code"}}, match...),
			Signed: func(path body.Path) bool { return len(path) > 1 && path[0] == "data" && path[1] != "sign" },
		},
		Match: match, Result: body.Path{"code"},
		Unsigned: &scheme.UnsignedRule{Member: body.Path{"code"}, Token: "0", Signed: []body.Path{pathSign, {"data"}}},
	}
	return nil
}

func (j *jeepay) Describe() *scheme.Description { return &j.description }

func (j *jeepay) Complete(d *scheme.Draft) error {
	t := d.Message.Payload
	if t == nil {
		return scheme.Failf(scheme.Invalid, "the request has no members")
	}
	for _, m := range t.Members() {
		if m.IsScalar() {
			continue
		}
		if err := asString(d, m); err != nil {
			return err
		}
	}
	for _, m := range [][2]string{
		{"mchNo", j.mchNo}, {"appId", j.appID}, {"version", "1.0"}, {"reqTime", strconv.FormatInt(d.Now.UnixMilli(), 10)},
	} {
		if err := byDefault(t, m[0], m[1]); err != nil {
			return err
		}
	}
	if err := t.SetString(body.Path{"signType"}, "MD5"); err != nil {
		return err
	}
	s, err := ofPieces(t.Members())
	if err != nil {
		return err
	}
	return send(d, s)
}

func (j *jeepay) Covers(in *scheme.Incoming) ([]scheme.Signature, error) {
	if in.Message.Kind != message.Answer || in.Message.Payload == nil {
		return nil, scheme.Failf(scheme.Invalid, "jeepay_go reads answers")
	}
	data := in.Message.Payload.At(body.Path{"data"})
	if data == nil || data.IsList() {
		return nil, scheme.Failf(scheme.Invalid, "the answer has no data")
	}
	s, err := ofPieces(data.Members())
	if err != nil {
		return nil, err
	}
	s.Part = "data"
	return received(in, s)
}

func (j *jeepay) Reveal(in *scheme.Incoming) error {
	if err := backToJSON(in, nil); err != nil {
		return err
	}
	return backToJSON(in, body.Path{"data"})
}

// ofPieces is the signature over name=value& of the members that are not empty, in the
// order of the pieces without regard to case, and key= with the secret behind them.
func ofPieces(members []body.Member) (scheme.Signature, error) {
	pairs := make([]canonical.Pair, 0, len(members))
	pieces := make([][]byte, 0, len(members))
	for _, m := range members {
		if string(m.Name()) == "sign" || m.IsEmpty() {
			continue
		}
		value := m.Text()
		if !m.IsScalar() {
			value = m.Compact()
		}
		pairs = append(pairs, canonical.Pair{Name: m.Name(), Value: value})
		pieces = append(pieces, slices.Concat(m.Name(), []byte("="), value, []byte("&")))
	}
	slices.SortStableFunc(pieces, canonical.CompareFold)
	for i := range pieces[:max(len(pieces)-1, 0)] {
		if canonical.CompareFold(pieces[i], pieces[i+1]) == 0 {
			return scheme.Signature{}, scheme.Failf(scheme.Invalid, "%w", canonical.ErrEqualFold)
		}
	}
	return scheme.Signature{
		Algorithm: md5, Encoding: hexUpper, Part: "*", Text: behind(bytes.Join(pieces, nil), "key="), Ambiguous: canonical.Ambiguous(pairs),
	}, nil
}

// Package easypay plays easypay (易生支付 易企通 1.0), from its page 请求分账
// (POST /ledger/mpos) and what is known of its siblings.
//
// A request is a JSON object whose member bizData is signed with SHA256withRSA.
// Within it orderSubDetails is encrypted with a key of the merchant's making,
// which travels in the envelope dgtlEnvlp. The answer is signed alike, errors
// included.
//
// The page lists no result codes but 000000 and 000086; the others here are
// this sandbox's own, after the two digits that bank card messages use.
package easypay

import (
	"fmt"
	"path"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/signature"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// Provider plays easypay. Its fields are what the page leaves open.
type Provider struct {
	// Padding is what fills the last block before encryption: space, zero,
	// pkcs7 or none. The default is space.
	Padding string
	// EnvelopePrefix stands before the 32 characters of the key in the
	// envelope. Some gateways of the family have one, such as "01|". The
	// default is none.
	EnvelopePrefix string
	// KeepEmpty signs an empty string as name=. The default leaves it out.
	KeepEmpty bool
	// SignType is the label of the answer's signature. The default is
	// SHA256withRSA.
	SignType string
	// OwnEnvelope makes every answer that holds encrypted members bring an
	// envelope of its own, under the merchant's key. The default is to echo
	// the request's envelope, as the page's sample does. The query
	// envelope=own asks for it in a single request.
	OwnEnvelope bool
	// NotificationPart is the signed member of a notification: bizData, or
	// data as in the older family. The default is bizData.
	NotificationPart string
}

// New returns a provider with the defaults.
func New() *Provider {
	return &Provider{Padding: PaddingSpace, SignType: "SHA256withRSA", NotificationPart: "bizData"}
}

// verdict is what the provider thinks of a request: two digits, of which
// tradeRetCode consists and with which sysRetCode ends, and a message.
type verdict struct{ code, message string }

var (
	accepted  = verdict{"00", "交易成功"}
	overLimit = verdict{"86", "分账金额超过订单金额可分账头寸"}
)

func malformed(format string, args ...any) verdict {
	return verdict{"30", "报文格式错误: " + fmt.Sprintf(format, args...)}
}

func badSignature(err error) verdict { return verdict{"A0", "验签失败: " + err.Error()} }

func badEnvelope(err error) verdict { return verdict{"A1", "解密失败: " + err.Error()} }

// exchange is one request on its way through the provider.
type exchange struct {
	*provider.Request
	options *Provider
	name    string // the last part of the path: mpos, mposfind …
	own     bool   // the answer brings its own envelope

	message wire.Value // the request
	biz     wire.Value // its bizData
	key     []byte     // the key from the envelope
	padding string     // how orderSubDetails was filled up; "" as the options say
	details wire.Value // orderSubDetails in plain

	seen []string
}

// Answer does with a request what easypay does.
func (p *Provider) Answer(r provider.Request) provider.Answer {
	route, query, _ := strings.Cut(r.Path, "?")
	e := &exchange{Request: &r, options: p, name: path.Base(route)}
	e.own = p.OwnEnvelope || strings.Contains("&"+query+"&", "&envelope=own&")
	return e.answer(e.judge())
}

func (e *exchange) saw(format string, args ...any) {
	e.seen = append(e.seen, fmt.Sprintf(format, args...))
}

// judge reads the request, verifies it, and then leaves it to the rules of the
// interface that it is for.
func (e *exchange) judge() verdict {
	message, err := wire.ReadBody(e.ContentType, e.Body)
	if err != nil {
		return malformed("%v", err)
	}
	e.message, e.biz = message, message.Get("bizData")
	if e.biz.Kind != wire.Object {
		return malformed("bizData is not an object")
	}
	switch label := message.StringAt("signType"); label {
	case "SHA256withRSA", "RSA2", "RSA":
	default:
		return badSignature(fmt.Errorf("signType is %q", label))
	}
	for _, m := range e.biz.Members {
		if m.Value.Kind == wire.Array || m.Value.Kind == wire.Object {
			return malformed("bizData.%s is not a string", m.Name)
		}
	}
	key, err := signature.VerifyRSA(e.Keys.Verify, e.options.canonical(e.biz), message.StringAt("sign"))
	if err != nil {
		return badSignature(err)
	}
	e.saw("bizData verified under key %d of the merchant", key)
	if e.name == "mpos" || !e.biz.Get("orderSubDetails").Empty() {
		return e.ledger()
	}
	return accepted
}

// canonical returns the string that is signed: the members of bizData by name,
// name=value joined by &, values trimmed as Java's trim does.
func (p *Provider) canonical(biz wire.Value) string {
	var pieces []string
	for _, m := range biz.Sorted() {
		text := m.Value.Text
		switch m.Value.Kind {
		case wire.Null:
			continue
		case wire.Array, wire.Object:
			text = m.Value.Encode()
		}
		text = strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
		if text != "" || p.KeepEmpty {
			pieces = append(pieces, m.Name+"="+text)
		}
	}
	return strings.Join(pieces, "&")
}

// Package hongwen is the scheme of hongwen (鸿闻), whose page 申请退分账 documents
// the method trade.apply.divide.back. How it signs is known from one client.
//
// All methods share one gateway address. The members of a request, of an answer
// and of a notification are signed with SHA256withRSA, but no arrays and
// objects: the amounts in an answer's divide_back_detail are not signed.
package hongwen

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

func init() {
	caddy.RegisterModule(new(Scheme))
}

// The members that the page names.
const (
	memberSign      = "sign"
	memberSignType  = "sign_type"
	memberMchNo     = "mch_no"
	memberMethod    = "method"
	memberCharset   = "charset"
	memberVersion   = "version"
	memberTimestamp = "timestamp"
	memberContent   = "biz_content"
	memberOrder     = "divide_back_out_trade_no"
	memberCode      = "code"
)

// algorithm is SHA256withRSA, although the page calls the type RSA (client).
var algorithm = signature.SHA256WithRSA

// timeLayout is how timestamp is written: yyyy-MM-dd HH:mm:ss.
const timeLayout = "2006-01-02 15:04:05"

// chinaStandardTime is the zone of timestamp. China has had no summer time since
// 1991, and an image may have no zone data.
var chinaStandardTime = time.FixedZone("CST", 8*60*60)

// Scheme is the scheme of hongwen (鸿闻). It adds sign and sign_type, and where
// the client gave none mch_no, method, charset, timestamp and version. The
// object biz_content goes out as a string that holds it, and in it an array such
// as divide_back_detail likewise.
//
// Of an answer the texts and numbers are signed, and the arrays and objects are
// not. It belongs to its request if divide_back_out_trade_no is equal where
// both have it.
type Scheme struct {
	// The merchant's number, for requests without mch_no. Default: none is added.
	MchNo string `json:"mch_no,omitempty"`

	// The method, for requests without one, such as trade.apply.divide.back.
	// Default: none is added.
	Method string `json:"method,omitempty"`

	// Whether arrays and objects are left out of the canonical string ("skip",
	// the default, as the one known client does) or stand there as their JSON
	// text ("json", a guess).
	Arrays string `json:"arrays,omitempty"`

	scheme.Matching
}

// CaddyModule returns the Caddy module information.
func (*Scheme) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.schemes.hongwen",
		New: func() caddy.Module { return new(Scheme) },
	}
}

// Options are the scheme's options.
func (s *Scheme) Options() []scheme.Option {
	return []scheme.Option{
		scheme.Text("mch_no", &s.MchNo),
		scheme.Text("method", &s.Method),
		scheme.Enum("arrays", &s.Arrays, "skip", "json"),
		s.Matching.Option(),
	}
}

// Validate checks the options and fills in their defaults.
func (s *Scheme) Validate() error {
	if err := scheme.OneOf("arrays", &s.Arrays, "skip", "json"); err != nil {
		return err
	}
	return s.Matching.Validate()
}

// Needs names the keys of RSA.
func (s *Scheme) Needs(*body.Object) []keys.Role { return scheme.Roles(algorithm) }

// ResultCode is code.
func (s *Scheme) ResultCode(answer *body.Object) string {
	code, _ := answer.Text(memberCode)
	return code
}

var (
	_ scheme.Notifier      = (*Scheme)(nil)
	_ scheme.Canonicalizer = (*Scheme)(nil)
)

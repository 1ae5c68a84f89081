// Package jeepay is the scheme of jeepay (计全付), whose page 分账业务 documents
// the calls under /api/division/. The rules that the page leaves out are those
// of the provider's open-source server.
//
// All non-empty members of a request are signed, with MD5 and a shared secret
// or with SHA256withRSA. Of an answer only the object data is signed, and an
// error answer without data is not signed at all.
package jeepay

import (
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
	memberSign     = "sign"
	memberSignType = "signType"
	memberVersion  = "version"
	memberTime     = "reqTime"
	memberMchNo    = "mchNo"
	memberAppID    = "appId"
	memberData     = "data"
	memberCode     = "code"
)

// orderMembers tie an answer to its request.
var orderMembers = []string{"payOrderId", "mchOrderNo", "receiverId"}

// md5 signs the canonical string, which ends in "&", followed by "key=" and the
// secret (code, vectors).
var md5 = signature.UpperHex(signature.MD5WithSecret("key="))

// Scheme is the scheme of jeepay (计全付). It adds sign and signType, and where
// the client gave none version, reqTime, mchNo and appId. An object or array in
// a request goes out as a string that holds it, as the page has it for
// receivers.
//
// Of an answer only data is signed: code and msg are not. An answer belongs to
// its request if payOrderId, mchOrderNo and receiverId in data are equal where
// both have them.
type Scheme struct {
	// How requests and answers are signed: "MD5" (default) with the shared
	// secret, or "RSA2", SHA256withRSA. The page names both. Notifications are
	// signed with MD5 in either case, as the provider's server does.
	SignType string `json:"sign_type,omitempty"`

	// The merchant's number, for requests without mchNo. Default: none is added.
	MchNo string `json:"mch_no,omitempty"`

	// The application's id, for requests without appId. Default: none is added.
	AppID string `json:"app_id,omitempty"`

	scheme.Matching
}

// CaddyModule returns the Caddy module information.
func (*Scheme) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.schemes.jeepay",
		New: func() caddy.Module { return new(Scheme) },
	}
}

// Options are the scheme's options.
func (s *Scheme) Options() []scheme.Option {
	return []scheme.Option{
		scheme.Enum("sign_type", &s.SignType, "MD5", "RSA2"),
		scheme.Text("mch_no", &s.MchNo),
		scheme.Text("app_id", &s.AppID),
		s.Matching.Option(),
	}
}

// Validate checks the options and fills in their defaults.
func (s *Scheme) Validate() error {
	if err := scheme.OneOf("sign_type", &s.SignType, "MD5", "RSA2"); err != nil {
		return err
	}
	return s.Matching.Validate()
}

// Needs names the secret, or the keys of RSA2.
func (s *Scheme) Needs(*body.Object) []keys.Role { return scheme.Roles(s.algorithm()) }

// ResultCode is code.
func (s *Scheme) ResultCode(answer *body.Object) string {
	code, _ := answer.Text(memberCode)
	return code
}

func (s *Scheme) algorithm() signature.Algorithm {
	if s.SignType == "RSA2" {
		return signature.SHA256WithRSA
	}
	return md5
}

var (
	_ scheme.Notifier      = (*Scheme)(nil)
	_ scheme.Canonicalizer = (*Scheme)(nil)
)

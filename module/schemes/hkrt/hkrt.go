// Package hkrt is the scheme of hkrt (海科融通), whose page 请求单次分账 documents
// /api/v1/delay-ledger/ledger. How it signs is known from its clients.
//
// Requests, answers and notifications are signed alike: all that is in them,
// lists and objects included, with MD5 and the access key.
package hkrt

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
	memberAccessID = "accessid"
	memberOrder    = "apply_no"
	memberCode     = "return_code"
)

// md5 signs the canonical string with the access key right behind it, without
// "&" and "key=" (code).
var md5 = signature.UpperHex(signature.MD5WithSecret(""))

// Scheme is the scheme of hkrt (海科融通). It adds sign, and accessid where the
// client gave none.
//
// All of an answer is signed. It belongs to its request if apply_no is equal
// where both have it. The elements of a list are signed without an index, so
// that two different bodies can have one signature: an amount can move between
// a list and the object around it. Against that only TLS helps, and the
// provider's own checks.
type Scheme struct {
	// The id of the access key, for requests without accessid. Default: none is
	// added.
	AccessID string `json:"access_id,omitempty"`

	// Whether an empty list, or an empty object, is left out of the canonical
	// string ("skip", the default) or kept as "name=" ("keep"). Of two clients
	// one does this, one that.
	EmptyList string `json:"empty_list,omitempty"`

	// How a number in an answer is signed: as it stands there ("token", the
	// default), or in the shortest form, 1.00 as 1, as PHP writes it
	// ("shortest"). The default is a guess: the page's sample answer has numbers
	// whose forms do not differ. Numbers in requests are signed as they stand.
	Numbers string `json:"numbers,omitempty"`

	scheme.Matching
}

// CaddyModule returns the Caddy module information.
func (*Scheme) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.schemes.hkrt",
		New: func() caddy.Module { return new(Scheme) },
	}
}

// Options are the scheme's options.
func (s *Scheme) Options() []scheme.Option {
	return []scheme.Option{
		scheme.Text("access_id", &s.AccessID),
		scheme.Enum("empty_list", &s.EmptyList, "skip", "keep"),
		scheme.Enum("numbers", &s.Numbers, "token", "shortest"),
		s.Matching.Option(),
	}
}

// Validate checks the options and fills in their defaults.
func (s *Scheme) Validate() error {
	if err := scheme.OneOf("empty_list", &s.EmptyList, "skip", "keep"); err != nil {
		return err
	}
	if err := scheme.OneOf("numbers", &s.Numbers, "token", "shortest"); err != nil {
		return err
	}
	return s.Matching.Validate()
}

// Needs names the access key.
func (s *Scheme) Needs(*body.Object) []keys.Role { return scheme.Roles(md5) }

// ResultCode is return_code.
func (s *Scheme) ResultCode(answer *body.Object) string {
	code, _ := answer.Text(memberCode)
	return code
}

var (
	_ scheme.Notifier      = (*Scheme)(nil)
	_ scheme.Canonicalizer = (*Scheme)(nil)
)

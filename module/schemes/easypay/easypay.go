// Package easypay is the scheme of easypay (易生支付, 易企通 1.0), whose page
// 请求分账 documents /ledger/mpos.
//
// The object bizData is signed with SHA256withRSA; the members beside it, such
// as sysRetCode, are not. Sensitive members of bizData are encrypted with a
// fresh symmetric key first, which travels in bizData.dgtlEnvlp.
package easypay

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/envelope"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

func init() {
	caddy.RegisterModule(new(Scheme))
}

// The members that the page names.
const (
	memberPart     = "bizData"
	memberOldPart  = "data" // of older notifications
	memberEnvelope = "dgtlEnvlp"
	memberSign     = "sign"
	memberSignType = "signType"
	memberOrder    = "oriOrgTrace"
	memberCode     = "sysRetCode"
)

// Scheme is the scheme of easypay (易生). It adds sign and signType, encrypts
// bizData.orderSubDetails, and then adds the envelope bizData.dgtlEnvlp.
//
// Only bizData is signed, in both directions. An answer belongs to its request
// if bizData.oriOrgTrace is equal where both have it.
type Scheme struct {
	// The members of bizData that are encrypted where they are neither absent
	// nor null nor empty. Default: orderSubDetails.
	Encrypt []string `json:"encrypt,omitempty"`

	// How a text is filled up to whole blocks before it is encrypted: "space"
	// (default), "zero", "pkcs7" or "none". The page says NoPadding and does
	// not say with what the text is filled up: the default is a guess that
	// every JSON parser takes.
	Padding string `json:"padding,omitempty"`

	// What stands before the symmetric key in the envelope, such as "01|" in
	// some gateways of the family. Default: nothing, as the page has it.
	EnvelopePrefix string `json:"envelope_prefix,omitempty"`

	// The label of the algorithm in signType. Default: SHA256withRSA, as the
	// page has it; other clients send RSA2 or RSA. It is not signed, and the
	// algorithm stays the same.
	SignType string `json:"sign_type,omitempty"`

	// Whether an empty string is left out of the canonical string ("skip", the
	// default, as the known clients do) or kept as "name=" ("keep", as the
	// documentation's code does). Null is always left out.
	Empty string `json:"empty,omitempty"`

	scheme.Matching
}

// CaddyModule returns the Caddy module information.
func (*Scheme) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.schemes.easypay",
		New: func() caddy.Module { return new(Scheme) },
	}
}

// Options are the scheme's options.
func (s *Scheme) Options() []scheme.Option {
	prefix := scheme.Text("envelope_prefix", &s.EnvelopePrefix)
	prefix.Try = []string{"01|"}
	return []scheme.Option{
		scheme.List("encrypt", &s.Encrypt),
		scheme.Enum("padding", &s.Padding, "space", "zero", "pkcs7", "none"),
		prefix,
		scheme.Text("sign_type", &s.SignType),
		scheme.Enum("empty", &s.Empty, "skip", "keep"),
		s.Matching.Option(),
	}
}

// Validate checks the options and fills in their defaults.
func (s *Scheme) Validate() error {
	if len(s.Encrypt) == 0 {
		s.Encrypt = []string{"orderSubDetails"}
	}
	for i, member := range s.Encrypt {
		if member == memberEnvelope || member == "" {
			return fmt.Errorf("encrypt cannot name %q; name a member of bizData that holds plaintext", member)
		}
		if slices.Contains(s.Encrypt[:i], member) {
			return fmt.Errorf("encrypt names %s twice", member)
		}
	}
	if s.SignType == "" {
		s.SignType = "SHA256withRSA"
	}
	if err := scheme.OneOf("padding", &s.Padding, "space", "zero", "pkcs7", "none"); err != nil {
		return err
	}
	if err := scheme.OneOf("empty", &s.Empty, "skip", "keep"); err != nil {
		return err
	}
	return s.Matching.Validate()
}

// Needs names the encryption keys only where a member will be encrypted.
func (s *Scheme) Needs(request *body.Object) []keys.Role {
	roles := []keys.Role{keys.Sign, keys.Verify}
	part, _ := request.Object(memberPart)
	if part == nil {
		return roles
	}
	if s.hasEncrypted(part) {
		return append(roles, s.EncryptionRoles()...)
	}
	return roles
}

// EncryptionRoles are the provider's key for the envelope, and the own one for
// an answer that is encrypted anew.
func (s *Scheme) EncryptionRoles() []keys.Role { return []keys.Role{keys.Encrypt, keys.Decrypt} }

// hasEncrypted reports whether a part has a member that is encrypted, or will
// be.
func (s *Scheme) hasEncrypted(part *body.Object) bool {
	return slices.ContainsFunc(s.Encrypt, part.Has)
}

// ResultCode is sysRetCode.
func (s *Scheme) ResultCode(answer *body.Object) string {
	code, _ := answer.Text(memberCode)
	return code
}

func (s *Scheme) padding() envelope.Padding { return envelope.Padding(s.Padding) }

var (
	_ scheme.Notifier      = (*Scheme)(nil)
	_ scheme.Canonicalizer = (*Scheme)(nil)
	_ scheme.Encrypter     = (*Scheme)(nil)
)

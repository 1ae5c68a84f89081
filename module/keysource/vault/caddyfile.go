package vault

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	keys vault <address> {
//	    name      <name>
//	    kv        <mount>
//	    auth      kubernetes <role> [<token file>]
//	    auth      approle <role id file> <secret id file>
//	    auth      token_file <file>
//	    auth_mount <mount>
//	    namespace <namespace>
//	    ca        <file>
//	    refresh   <duration>
//	    max_stale <duration>
//	    allow_plaintext_upstream
//	}
func (s *Source) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "vault"
	s.Line = fmt.Sprintf("%s:%d", d.File(), d.Line())
	if !d.AllArgs(&s.Address) {
		return d.WrapErr(i18n.Errorf("keys vault takes exactly one address"))
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.WrapErr(i18n.Errorf("%s is given twice", option))
		}
		seen[option] = true
		if err := s.option(d, option); err != nil {
			return err
		}
	}
	if s.Auth.Method == "" {
		return i18n.Errorf("keys vault needs auth; add: auth kubernetes <role>, auth approle <role id file> <secret id file>, or auth token_file <file>, at %s", s.Line)
	}
	return nil
}

func (s *Source) option(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "name":
		return one(d, option, &s.Name)
	case "kv":
		return one(d, option, &s.KV)
	case "auth_mount":
		return one(d, option, &s.Auth.Mount)
	case "namespace":
		return one(d, option, &s.Namespace)
	case "ca":
		return one(d, option, &s.CA)
	case "refresh":
		return duration(d, option, &s.Refresh)
	case "max_stale":
		return duration(d, option, &s.MaxStale)
	case "auth":
		return s.Auth.unmarshal(d)
	case "allow_plaintext_upstream":
		if d.NextArg() {
			return d.WrapErr(i18n.Errorf("allow_plaintext_upstream takes no value"))
		}
		s.AllowPlaintextUpstream = true
		return nil
	default:
		return d.WrapErr(i18n.Errorf("unknown option %q of keys vault; it has name, kv, auth, auth_mount, namespace, ca, refresh, max_stale and allow_plaintext_upstream", option))
	}
}

func (a *Auth) unmarshal(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.WrapErr(i18n.Errorf("auth needs a method: kubernetes, approle or token_file"))
	}
	a.Method = args[0]
	switch n := len(args); {
	case a.Method == "kubernetes" && n == 2:
		a.Role = args[1]
	case a.Method == "kubernetes" && n == 3:
		a.Role, a.TokenFile = args[1], args[2]
	case a.Method == "approle" && n == 3:
		a.RoleIDFile, a.SecretIDFile = args[1], args[2]
	case a.Method == "token_file" && n == 2:
		a.TokenFile = args[1]
	case a.Method == "kubernetes":
		return d.WrapErr(i18n.Errorf("auth kubernetes takes a role and, if it is not in the usual place, the file of the service account's token"))
	case a.Method == "approle":
		return d.WrapErr(i18n.Errorf("auth approle takes the file of the role id and the file of the secret id"))
	case a.Method == "token_file":
		return d.WrapErr(i18n.Errorf("auth token_file takes one file"))
	default:
		return d.WrapErr(i18n.Errorf("unknown auth method %q; there are kubernetes, approle and token_file", a.Method))
	}
	return nil
}

func one(d *caddyfile.Dispenser, option string, target *string) error {
	if !d.AllArgs(target) || *target == "" {
		return d.WrapErr(i18n.Errorf("%s takes exactly one value", option))
	}
	return nil
}

func duration(d *caddyfile.Dispenser, option string, target *caddy.Duration) error {
	var value string
	if err := one(d, option, &value); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(value)
	if err != nil || parsed <= 0 {
		return d.WrapErr(i18n.Errorf("%s must be a duration such as 30s, not %q", option, value))
	}
	*target = caddy.Duration(parsed)
	return nil
}

var _ caddyfile.Unmarshaler = (*Source)(nil)

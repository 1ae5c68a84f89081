package redis

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	redis <address> {
//	    username <user>
//	    password <password>
//	    prefix   <text>
//	    timeout  <duration>
//	    ca       <file>
//	    allow_plaintext
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "redis"
	if !d.AllArgs(&s.Address) || s.Address == "" {
		return d.WrapErr(i18n.Errorf("the store redis takes one address, as in: once 24h redis://127.0.0.1:6379/0"))
	}
	for d.NextBlock(0) {
		var err error
		switch option := d.Val(); option {
		case "username":
			err = directive.Text(d, option, &s.Username)
		case "password":
			err = directive.Text(d, option, &s.Password)
		case "prefix":
			err = directive.Text(d, option, &s.Prefix)
		case "timeout":
			err = directive.Duration(d, option, &s.Timeout)
		case "ca":
			err = directive.Text(d, option, &s.CA)
		case "allow_plaintext":
			if d.NextArg() {
				return d.WrapErr(i18n.Errorf("allow_plaintext takes no value"))
			}
			s.AllowPlaintext = true
		default:
			return d.WrapErr(i18n.Errorf("unknown option %q of the store redis; it has username, password, prefix, timeout, ca and allow_plaintext", option))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Store)(nil)

// Package file is the key source that reads a folder: a folder for each
// reference in it, and in that a file for each role.
package file

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keysource"
)

func init() {
	caddy.RegisterModule(new(Source))
}

// settle is the default of Source.Settle: longer than people and scripts pause between
// two writes to one file (3 s was measured).
const settle = 3500 * time.Millisecond

// maxFile is the largest key file that is read, in bytes.
const maxFile = 256 << 10

// Source reads key sets from files: <dir>/<reference>/<role>.pem for the roles
// sign, verify, encrypt and decrypt, and <dir>/<reference>/secret and
// verify_secret.
//
// A file holds PEM (PKCS#8, PKCS#1, PKIX or a certificate) or the bare Base64
// that providers hand out; verify and decrypt may hold several keys. Further
// keys of a role have an id: <role>@<id>.pem, secret@<id>.
//
// Changed files are read without a reload: at once if they were renamed or linked into
// place (a secret only if it was linked: nothing tells its first half from the whole),
// otherwise when they have not been written for the time settle. If a file is
// half-written or wrong, the old set stays in use, and the log has the error.
type Source struct {
	// The folder. Required.
	Dir string `json:"dir"`

	// The name of the source. The default source has none.
	Name string `json:"name,omitempty"`

	// How often the files are checked for changes. Default: 1s.
	Refresh caddy.Duration `json:"refresh,omitempty"`

	// How long a file that was written in place must not have been written before it is
	// read. Default: 3.5s.
	Settle caddy.Duration `json:"settle,omitempty"`

	pending sync.Map    // reference -> pending
	served  atomic.Bool // it has had a key set
}

// CaddyModule returns the Caddy module information.
func (*Source) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.keys.file",
		New: func() caddy.Module { return new(Source) },
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	keys file <dir> {
//	    name    <name>
//	    refresh <duration>
//	    settle  <duration>
//	}
func (s *Source) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "file"
	if !d.AllArgs(&s.Dir) {
		return d.WrapErr(i18n.Errorf("keys file takes exactly one folder"))
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		var value string
		if !d.AllArgs(&value) {
			return d.WrapErr(i18n.Errorf("%s takes exactly one value", option))
		}
		switch option {
		case "name":
			if s.Name != "" {
				return d.WrapErr(i18n.Errorf("name is given twice"))
			}
			s.Name = value
		case "refresh", "settle":
			into := map[string]*caddy.Duration{"refresh": &s.Refresh, "settle": &s.Settle}[option]
			if *into != 0 {
				return d.WrapErr(i18n.Errorf("%s is given twice", option))
			}
			duration, err := caddy.ParseDuration(value)
			if err != nil || duration <= 0 {
				return d.WrapErr(i18n.Errorf("%s must be a duration such as 1s, not %q", option, value))
			}
			*into = caddy.Duration(duration)
		default:
			return d.WrapErr(i18n.Errorf("unknown option %q of keys file; it has name, refresh and settle", option))
		}
	}
	return nil
}

// Provision fills in the defaults.
func (s *Source) Provision(caddy.Context) error {
	dir, err := caddy.NewReplacer().ReplaceOrErr(s.Dir, true, true)
	if err != nil {
		return i18n.Errorf("the folder of the key files: %w", err)
	}
	s.Dir = dir
	if s.Refresh == 0 {
		s.Refresh = caddy.Duration(time.Second)
	}
	if s.Settle == 0 {
		s.Settle = caddy.Duration(settle)
	}
	return nil
}

// Validate checks the configuration. The folder need not exist yet.
func (s *Source) Validate() error {
	if s.Dir == "" {
		return i18n.Errorf("keys file needs a folder")
	}
	return nil
}

// Terms returns the name of the source and how often sets are refreshed. There is no
// maximum age, because files that were read stay valid.
func (s *Source) Terms() keysource.Terms {
	return keysource.Terms{Name: s.Name, Kind: "file", Refresh: time.Duration(s.Refresh)}
}

// Probe returns an error if the folder does not exist.
func (s *Source) Probe(context.Context) error {
	info, err := os.Stat(s.Dir)
	if err != nil {
		return i18n.Errorf("looking at the folder of the key files: %w", err)
	}
	if !info.IsDir() {
		return i18n.Errorf("%s is not a folder; keys file needs the folder that holds the key sets", s.Dir)
	}
	return nil
}

var (
	_ keysource.Source      = (*Source)(nil)
	_ caddy.Provisioner     = (*Source)(nil)
	_ caddy.Validator       = (*Source)(nil)
	_ caddyfile.Unmarshaler = (*Source)(nil)
)

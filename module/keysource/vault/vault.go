// Package vault is the key source for HashiCorp Vault: it reads keys and secrets from
// KV version 2, and uses private keys of the Transit engine, which never leave Vault.
package vault

import (
	"context"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keysource"
	"github.com/countersign/caddy-countersign/module/network"
)

func init() {
	caddy.RegisterModule(new(Source))
}

// The defaults of the options.
const (
	DefaultMount    = "secret"
	DefaultRefresh  = 30 * time.Second
	DefaultMaxStale = time.Hour
	DefaultJWT      = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

// Source reads key sets from HashiCorp Vault. A reference is the path of a KV
// version 2 secret that has a field for each role: sign, verify, encrypt,
// decrypt, secret, verify_secret, in the formats of the file source. In sign and
// decrypt the value "transit:<mount>/<key>" names an RSA key of the Transit
// engine instead: Vault then signs and decrypts, and the private key never
// leaves it (RSA from 2048 bits; decrypting needs Vault 1.19).
//
// Keys are kept in memory only. While Vault does not answer, the last loaded keys are
// used until max_stale. No VAULT_* variable of the environment has any effect.
type Source struct {
	// The URL of Vault, such as https://vault.vault:8200. Required.
	Address string `json:"address"`

	// The name of the source. The default source has none.
	Name string `json:"name,omitempty"`

	// The mount of the KV version 2 engine. Default: secret.
	KV string `json:"kv,omitempty"`

	// The login. Required.
	Auth Auth `json:"auth"`

	// The namespace (Vault Enterprise). Default: none.
	Namespace string `json:"namespace,omitempty"`

	// A PEM file with the certificate authorities of Vault's certificate. Default:
	// those of the system.
	CA string `json:"ca,omitempty"`

	// How often the versions of secrets are checked. Default: 30s.
	Refresh caddy.Duration `json:"refresh,omitempty"`

	// How long the last loaded keys are used while Vault does not answer. Default: 1h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`

	// Allows an address without TLS on another machine: everybody on the network path
	// can read every key and the token. Default: false.
	AllowPlaintextUpstream bool `json:"allow_plaintext_upstream,omitempty"`

	// The place of the block in the Caddyfile, as file:line, for errors of Provision.
	// Default: none.
	Line string `json:"line,omitempty"`

	client *client
	health health
	failed atomic.Pointer[failedUse]
	list   listings
	lent   atomic.Bool // keys were handed out that need the token when they are used
}

// Auth is the login of a source.
type Auth struct {
	// The method: "kubernetes", "approle" or "token_file". Required.
	Method string `json:"method"`

	// For kubernetes: the role of Vault's auth method. Required there.
	Role string `json:"role,omitempty"`

	// For kubernetes and approle: the mount of the auth method. Default: its name.
	Mount string `json:"mount,omitempty"`

	// The file with the token. For kubernetes: the token of the service account, read
	// again at each login; default:
	// /var/run/secrets/kubernetes.io/serviceaccount/token. For token_file: the file
	// that a Vault Agent writes, read again when it changes; required.
	TokenFile string `json:"token_file,omitempty"`

	// For approle: the file with the role id, read again at each login. Required there.
	RoleIDFile string `json:"role_id_file,omitempty"`

	// For approle: the file with the secret id, read again at each login. Required there.
	SecretIDFile string `json:"secret_id_file,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Source) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.keys.vault",
		New: func() caddy.Module { return new(Source) },
	}
}

// Provision sets the defaults. It does not use the network.
func (s *Source) Provision(caddy.Context) error {
	return directive.WithPlace(s.provision(), s.Line)
}

func (s *Source) provision() error {
	repl := caddy.NewReplacer()
	for _, value := range []*string{
		&s.Address, &s.KV, &s.Namespace, &s.CA,
		&s.Auth.Role, &s.Auth.Mount, &s.Auth.TokenFile, &s.Auth.RoleIDFile, &s.Auth.SecretIDFile,
	} {
		replaced, err := repl.ReplaceOrErr(*value, true, true)
		if err != nil {
			return i18n.Errorf("keys vault: %w", err)
		}
		*value = replaced
	}
	if s.KV == "" {
		s.KV = DefaultMount
	}
	if s.Refresh == 0 {
		s.Refresh = caddy.Duration(DefaultRefresh)
	}
	if s.MaxStale == 0 {
		s.MaxStale = caddy.Duration(DefaultMaxStale)
	}
	if err := s.check(); err != nil {
		return err
	}
	var err error
	s.client, err = newClient(s)
	return err
}

// check returns an error if the configuration is not valid.
func (s *Source) check() error {
	s.KV = strings.Trim(s.KV, "/")
	if err := checkMount("kv", s.KV); err != nil {
		return err
	}
	if s.Refresh < 0 || s.MaxStale < 0 {
		return i18n.Errorf("keys vault: refresh and max_stale must be positive")
	}
	if s.MaxStale < s.Refresh {
		return i18n.Errorf("keys vault: max_stale must not be shorter than refresh, or the keys would be too old between two looks")
	}
	if err := s.Auth.check(); err != nil {
		return err
	}
	return s.checkAddress()
}

func (s *Source) checkAddress() error {
	if strings.HasPrefix(s.Address, "unix://") {
		return nil
	}
	u, err := url.Parse(s.Address)
	if err != nil {
		return i18n.Errorf("keys vault: the address must look like https://vault.example:8200, and it is no address at all")
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return i18n.Errorf("keys vault: the address must look like https://vault.example:8200, not %q", u.Redacted())
	}
	if !s.AllowPlaintextUpstream && s.plaintext() {
		return i18n.Errorf("keys vault: %s would be reached in plaintext, and every key with it; use https://, or accept the risk with allow_plaintext_upstream", s.Address)
	}
	return nil
}

// plaintext reports whether the keys would be sent to another machine without TLS.
func (s *Source) plaintext() bool {
	u, err := url.Parse(s.Address)
	return err == nil && u.Scheme == "http" && !network.Local("tcp", u.Hostname())
}

// Beyond reports whether Vault is on another machine.
func (s *Source) Beyond() bool {
	u, err := url.Parse(s.Address)
	return err != nil || u.Scheme != "unix" && !network.Local("tcp", u.Hostname())
}

func (a *Auth) check() error {
	switch a.Method {
	case methodKubernetes:
		if a.Role == "" {
			return i18n.Errorf("keys vault: auth kubernetes needs a role")
		}
		if a.TokenFile == "" {
			a.TokenFile = DefaultJWT
		}
	case methodAppRole:
		if a.RoleIDFile == "" || a.SecretIDFile == "" {
			return i18n.Errorf("keys vault: auth approle needs the file of the role id and the file of the secret id")
		}
	case methodTokenFile:
		if a.TokenFile == "" {
			return i18n.Errorf("keys vault: auth token_file needs a file")
		}
	case "":
		return i18n.Errorf("keys vault needs auth; add: auth kubernetes <role>, auth approle <role id file> <secret id file>, or auth token_file <file>")
	default:
		return i18n.Errorf("keys vault: unknown auth method %q; there are kubernetes, approle and token_file", a.Method)
	}
	if a.Mount == "" {
		a.Mount = a.Method
	}
	a.Mount = strings.Trim(a.Mount, "/")
	return checkMount("auth_mount", a.Mount)
}

// checkMount refuses a mount that would lead to another place in Vault.
func checkMount(option, mount string) error {
	for segment := range strings.SplitSeq(mount, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.TrimSpace(segment) != segment || strings.ContainsAny(segment, "\\?#%") {
			return i18n.Errorf("keys vault: %s must be the path of a mount, such as payments or team/payments, not %q", option, mount)
		}
	}
	return nil
}

// Terms returns the source's name and how its sets are kept.
func (s *Source) Terms() keysource.Terms {
	return keysource.Terms{Name: s.Name, Kind: "vault", Refresh: time.Duration(s.Refresh), MaxStale: time.Duration(s.MaxStale)}
}

// limitedFor is how long Waiting reports a rate limit after Vault has refused a
// request.
const limitedFor = 2 * time.Second

// Waiting returns an error if Vault's rate limit has refused a request within
// limitedFor, and otherwise nil.
func (s *Source) Waiting() error {
	if at := s.client.limited.Load(); at == 0 || time.Since(time.Unix(0, at)) > limitedFor {
		return nil
	}
	return i18n.Errorf("vault answers 429 (too many requests): raise its rate limit for the sidecar, or wait until it lets more through")
}

// Probe returns an error if Vault does not accept the login.
func (s *Source) Probe(ctx context.Context) error {
	_, err := s.client.read(ctx, pathSelf)
	return err
}

// afterClose is how long exchanges that are under way may still sign and
// decrypt with the token after the source is closed. It is longer than any
// sensible timeout; one that takes longer logs in anew.
const afterClose = 2 * time.Minute

// Close ends the renewals of the token and revokes it: after a reload only when
// exchanges in flight no longer need it for Transit, and at once when Caddy exits.
func (s *Source) Close() error {
	if s.client == nil {
		return nil
	}
	grace := afterClose
	if caddy.Exiting() || !s.lent.Load() {
		grace = 0
	}
	s.client.session.close(grace)
	s.client.transport.CloseIdleConnections()
	return nil
}

var (
	_ keysource.Source   = (*Source)(nil)
	_ keysource.Operable = (*Source)(nil)
	_ caddy.Provisioner  = (*Source)(nil)
	_ io.Closer          = (*Source)(nil)
)

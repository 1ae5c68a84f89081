package vault_test

import (
	"crypto/rsa"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// shop is a Vault that holds the merchant's keys, and a folder that holds the
// provider's.
type shop struct {
	t          *testing.T
	dir        string
	vault      *vaulttest.Server
	proxy      *vaulttest.Proxy // between the sidecar and Vault
	provider   string           // the address of the sandboxes
	app, watch string           // those of the sidecar's sites
}

// parallel lets a test run beside others, which it cannot where one Vault is
// shared by all.
func parallel(t *testing.T) {
	if os.Getenv("VAULT_ADDR") == "" {
		t.Parallel()
	}
}

// open fills a Vault with the key sets of fields, under the policies that ship.
func open(t *testing.T, vault *vaulttest.Server) *shop {
	t.Helper()
	s := &shop{t: t, dir: process.Folder(t), vault: vault, proxy: vaulttest.StartProxy(t, vault)}
	require.NoError(t, vault.EnableKV("payments"))
	require.NoError(t, vault.EnableTransit("signing"))
	require.NoError(t, vault.ImportKeys("signing", "shop-sign", merchantSign()))
	require.NoError(t, vault.ImportKeys("signing", "shop-decrypt", merchantDecrypt()))
	for reference, roles := range fields() {
		s.put(reference, roles)
		s.provide(reference, merchantSign())
	}
	for _, name := range policies {
		s.policy(name, policy(t, name))
	}
	s.app, s.watch, s.provider = networktest.Address(t), networktest.Address(t), networktest.Address(t)
	s.startProvider()
	return s
}

// startProvider runs the sandboxes as a process of its own, which is neither
// reloaded nor counted.
func (s *shop) startProvider() {
	s.t.Helper()
	var sandboxes strings.Builder
	for reference := range fields() {
		scheme, mode, _ := strings.Cut(reference, "/")
		fmt.Fprintf(&sandboxes, "handle_path /%s/* {\ncountersign_sandbox %s {\nkeys %s\n}\n}\n", mode, scheme, reference)
	}
	dir := filepath.Join(s.dir, "sandbox")
	require.NoError(s.t, os.MkdirAll(dir, 0o700))
	launch(s.t, dir, `{
	admin unix/`+dir+`/admin|0600
	persist_config off
	countersign {
		keys file `+s.dir+`/provider {
			refresh 50ms
			settle 1ms
		}
	}
}
`+site(s.provider)+` {
	bind 127.0.0.1
`+sandboxes.String()+`
	handle_path /any/* {
		countersign_sandbox easypay {
			keys `+inKV+`
		}
	}
}
`, nil)
}

// put writes a key set to Vault and returns its version.
func (s *shop) put(reference string, roles map[string]string) int {
	s.t.Helper()
	version, err := s.vault.PutSecret("payments", reference, roles)
	require.NoError(s.t, err)
	return version
}

// change writes a key set with some of its roles changed.
func (s *shop) change(reference string, changes ...string) int {
	s.t.Helper()
	roles := fields()[reference]
	for i := 0; i < len(changes); i += 2 {
		roles[changes[i]] = changes[i+1]
	}
	return s.put(reference, roles)
}

// provide gives the sandbox the provider's side of a reference, which accepts
// signatures of the given keys of the merchant.
func (s *shop) provide(reference string, accepted ...*rsa.PrivateKey) {
	s.t.Helper()
	s.provideWith(reference, providerSign(), merchantDecrypt(), accepted)
	s.secret(reference, md5Secret)
}

// provideWith is provide with the key that the provider signs with, and the one
// of the merchant that it seals to.
func (s *shop) provideWith(reference string, sign, encrypt *rsa.PrivateKey, accepted []*rsa.PrivateKey) {
	s.t.Helper()
	for name, text := range map[string]string{
		"sign.pem": privatePEM(sign), "decrypt.pem": privatePEM(providerDecrypt()),
		"verify.pem": publicPEM(accepted...), "encrypt.pem": publicPEM(encrypt),
	} {
		s.file(reference, name, text)
	}
}

// secret sets the secret that the provider signs with, and others that it
// accepts.
func (s *shop) secret(reference, secret string, others ...string) {
	s.t.Helper()
	if len(others) > 0 { // first, so that there is no moment without them
		s.file(reference, "verify_secret", strings.Join(others, "\n")+"\n")
	}
	s.file(reference, "secret", secret)
}

// file writes a file of the provider's.
func (s *shop) file(reference, name, text string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "provider", reference)
	require.NoError(s.t, os.MkdirAll(dir, 0o700))
	replace(s.t, filepath.Join(dir, name), text)
}

// policy writes a policy into Vault.
func (s *shop) policy(name, rules string) {
	s.t.Helper()
	require.NoError(s.t, s.vault.WritePolicy(name, rules))
}

// policy reads a policy that ships.
func policy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("policies", name+".hcl"))
	require.NoError(t, err)
	return string(text)
}

// policies are those of the sidecar.
var policies = []string{"kv", "transit"}

// token writes a token to a file and returns the file.
func (s *shop) token(o vaulttest.Tokens) string {
	s.t.Helper()
	if o.Policies == nil {
		o.Policies = policies
	}
	token, err := s.vault.CreateToken(o)
	require.NoError(s.t, err)
	file := filepath.Join(s.dir, "token")
	replace(s.t, file, token)
	return file
}

// role makes an AppRole.
func (s *shop) role(o vaulttest.Tokens) *vaulttest.AppRole {
	s.t.Helper()
	if o.Policies == nil {
		o.Policies = policies
	}
	role, err := s.vault.CreateAppRole("shop", s.dir, o)
	require.NoError(s.t, err)
	return role
}

// byRole returns the login by a new AppRole, as it stands in a Caddyfile.
func (s *shop) byRole() string {
	role := s.role(vaulttest.Tokens{})
	return "auth approle " + role.RoleIDFile + " " + role.SecretIDFile
}

// replace writes a file in one step.
func replace(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// caddyfile returns a sidecar with its keys in Vault, reached through the proxy, for
// the given references. Options are lines of the block `keys vault`.
func (s *shop) caddyfile(references []string, options ...string) string {
	return s.with(s.proxy.URL, references, options)
}

// with is caddyfile with another address of Vault, and more lines among the
// handlers of the application's site.
func (s *shop) with(address string, references, options []string, more ...string) string {
	var handlers strings.Builder
	for _, reference := range references {
		scheme, mode, _ := strings.Cut(reference, "/")
		fmt.Fprintf(&handlers, "handle /%s/* {\ncountersign %s %s {\nkeys %s\n}\n}\n", mode, scheme, s.provider, reference)
	}
	return `{
	debug
	admin unix/` + s.dir + `/admin|0600
	persist_config off
	grace_period 5s
	countersign {
		keys vault ` + address + ` {
			kv payments
			` + strings.Join(options, "\n\t\t\t") + `
		}
	}
}
` + site(s.app) + ` {
	bind 127.0.0.1
` + handlers.String() + strings.Join(more, "\n") + `
}
` + site(s.watch) + ` {
	bind 127.0.0.1
	@ready countersign_ready
	handle /readyz {
		respond @ready "ready" 200
		respond "not ready" 503
	}
	metrics /metrics
}
`
}

// site returns the address of a site that takes every Host.
func site(address string) string { return "http://" + address[strings.LastIndexByte(address, ':'):] }

// dynamic returns the lines of a handler whose reference depends on the request.
func (s *shop) dynamic() []string {
	return []string{"handle /any/* {", "countersign easypay " + s.provider + " {", "keys easypay/{body.orgId}", "}", "}"}
}

// launch runs a sidecar.
func (s *shop) launch(caddyfile string, environment ...string) *sidecar {
	s.t.Helper()
	return launch(s.t, s.dir, caddyfile, map[string]string{"app": s.app, "watch": s.watch}, environment...)
}

// start runs a sidecar for the references, and waits until it is ready.
func (s *shop) start(references []string, options ...string) *sidecar {
	s.t.Helper()
	c := s.launch(s.caddyfile(references, options...))
	c.Await("ready", c.ready)
	return c
}

// body returns what the application posts for a reference.
func body(t *testing.T, reference string) []byte {
	t.Helper()
	name := "easypay"
	if reference == withMD5 {
		name = "jeepay-exec"
	}
	text, err := os.ReadFile(filepath.Join(repository, "caddyfiles", "samples", name+".json"))
	require.NoError(t, err)
	return text
}

// pay makes an exchange with the keys of a reference.
func (s *sidecar) pay(reference string) answer {
	s.T.Helper()
	return s.post(paths[reference], body(s.T, reference))
}

// paid makes an exchange that must succeed.
func (s *sidecar) paid(reference string) {
	s.T.Helper()
	a := s.pay(reference)
	require.True(s.T, a.ok(), "%s: %d %s", reference, a.status, a.body)
}

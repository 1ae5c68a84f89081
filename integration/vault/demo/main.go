// Command demo shows the quickstart with keys in HashiCorp Vault, from the top
// of the repository:
//
//	go run ./integration/vault/demo
//
// It builds and starts a real Vault on 127.0.0.1:8200, puts the development
// keys into it, and runs Caddy with caddyfiles/vault.Caddyfile until Ctrl-C.
// The Vault is thrown away at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
	_ "github.com/countersign/caddy-countersign/module"
)

// address is where the Vault listens. It is the one that Vault's own tools look
// at, and the default of the Caddyfile.
const address = "127.0.0.1:8200"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

const usage = `usage: go run ./integration/vault/demo

Builds and starts a real Vault on ` + address + `, puts the development keys into
it, and runs Caddy with caddyfiles/vault.Caddyfile until Ctrl-C. Run it from the
top of the repository. It takes no arguments. The Vault is thrown away at the end.
`

func run(ctx context.Context, args []string, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; there is only -h", flags.Arg(0))
	}
	caddyfile := filepath.Join("caddyfiles", "vault.Caddyfile")
	text, err := os.ReadFile(caddyfile)
	if err != nil {
		return fmt.Errorf("run this from the top of the repository: %w", err)
	}
	dir, err := os.MkdirTemp("", "countersign-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the login: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	fmt.Fprintln(stderr, "demo: starting Vault; the first time it is built, which takes minutes")
	vault, err := vaulttest.New(ctx, vaulttest.Options{Address: address})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vault.Close()) }()
	if err := seed(vault, ".", dir); err != nil {
		return err
	}
	if err := serve(caddyfile, text, vault.URL, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, caddy.Stop()) }()
	guide(vault)
	<-ctx.Done()
	return nil
}

// serve runs Caddy with a Caddyfile that takes Vault's address, and the folder
// of the files for the login, from the environment.
func serve(name string, text []byte, vault, login string) error {
	for variable, value := range map[string]string{"VAULT_ADDR": vault, "VAULT_LOGIN": login} {
		if err := os.Setenv(variable, value); err != nil {
			return fmt.Errorf("setting %s: %w", variable, err)
		}
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": name})
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if err := caddy.Load(config, true); err != nil {
		return fmt.Errorf("running Caddy with %s: %w", name, err)
	}
	return nil
}

// guide prints what there is to try.
func guide(vault *vaulttest.Server) {
	fmt.Printf(`
Keys are in Vault at %[1]s. Try it, from another terminal:

easypay, with its keys from KV:

%[3]s @caddyfiles/samples/easypay.json http://127.0.0.1:8080/easypay/ledger/mpos

jeepay, signed by Vault's Transit engine:

%[3]s @caddyfiles/samples/jeepay-exec.json http://127.0.0.1:8080/jeepay/api/division/exec

Now seal Vault: the first goes on with the keys that it has, the second answers
signing_failed and nothing is sent.

curl -sS -X POST -H 'X-Vault-Token: %[2]s' %[1]s/v1/sys/seal

Unseal it, and all is well:

curl -sS -X POST -d '{"key":"%[4]s"}' %[1]s/v1/sys/unseal

`, vault.URL, vault.RootToken, "curl -sS -H 'Content-Type: application/json' --data-binary", vault.UnsealKey)
}

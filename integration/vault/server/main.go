// Command server is a real Vault server for this repository's tests: Vault's
// own core, storage and HTTP handler with just the secret engines and login
// methods that the sidecar uses (kv, transit, approle, kubernetes, token).
//
// It is a separate Go module, so that none of Vault's server, which is under the
// Business Source License, reaches the module that the product is built from. See
// README.md.
package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	kubeauth "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

// unsealKeyVariable names the environment variable that a start on existing
// storage takes the unseal key from (Base64, as the ready line has it).
const unsealKeyVariable = "VAULT_UNSEAL_KEY"

// options are the command's flags.
type options struct {
	listen   string
	storage  string
	tlsCert  string
	tlsKey   string
	audit    string
	sealed   bool
	untilEOF bool
}

// ready is the one line of JSON on standard output that says that the server
// answers. RootToken is there only on the first start of a storage.
type ready struct {
	Address   string `json:"address"`
	Sealed    bool   `json:"sealed"`
	RootToken string `json:"root_token,omitempty"`
	UnsealKey string `json:"unseal_key,omitempty"`
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:8200", "address to listen on; port 0 takes a free one")
	flag.StringVar(&o.storage, "storage", "", "directory that holds Vault's (encrypted) storage")
	flag.StringVar(&o.tlsCert, "tls-cert", "", "PEM file of the certificate to serve HTTPS with")
	flag.StringVar(&o.tlsKey, "tls-key", "", "PEM file of the certificate's private key")
	flag.StringVar(&o.audit, "audit", "", "file for Vault's audit log, enabled when the storage is initialised")
	flag.BoolVar(&o.sealed, "sealed", false, "neither initialise nor unseal: leave both to the HTTP API")
	flag.BoolVar(&o.untilEOF, "until-eof", false, "end when standard input ends, and so with the program that started the server")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if o.untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := serve(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

// serve runs the server until ctx is done. Whatever can fail comes before the
// storage is initialised: its keys are printed once, at the end.
func serve(ctx context.Context, o options) error {
	if o.storage == "" {
		return errors.New("-storage is missing: name a directory")
	}
	core, err := newCore(o.storage)
	if err != nil {
		return err
	}
	listener, scheme, err := listen(o)
	if err != nil {
		return err
	}
	line := ready{Sealed: true}
	if !o.sealed {
		if line, err = open(ctx, core, o.audit); err != nil {
			return err
		}
	}
	line.Address = scheme + "://" + listener.Addr().String()

	server := &http.Server{
		Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{
			Core:           core,
			ListenerConfig: &configutil.Listener{Type: "tcp", Address: listener.Addr().String()},
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return fmt.Errorf("saying that the server is ready: %w", err)
	}

	select {
	case err = <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	return errors.Join(server.Close(), core.Shutdown())
}

// listen opens the port, with TLS if there is a certificate.
func listen(o options) (listener net.Listener, scheme string, err error) {
	if (o.tlsCert == "") != (o.tlsKey == "") {
		return nil, "", errors.New("-tls-cert and -tls-key go together")
	}
	if listener, err = net.Listen("tcp", o.listen); err != nil {
		return nil, "", fmt.Errorf("listening: %w", err)
	}
	if o.tlsCert == "" {
		return listener, "http", nil
	}
	pair, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	if err != nil {
		return nil, "", fmt.Errorf("loading the certificate: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return tls.NewListener(listener, config), "https", nil
}

// newCore makes a Vault core over the storage in dir.
func newCore(dir string) (*vault.Core, error) {
	logger := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.Warn, Output: os.Stderr})
	storage, err := file.NewFileBackend(map[string]string{"path": dir}, logger.Named("storage"))
	if err != nil {
		return nil, fmt.Errorf("opening the storage %s: %w", dir, err)
	}
	engines := map[string]logical.Factory{"kv": kv.Factory, "transit": transit.Factory}
	logins := map[string]logical.Factory{"approle": approle.Factory, "kubernetes": kubeauth.Factory}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           storage,
		StorageType:        "file",
		LogicalBackends:    engines,
		CredentialBackends: logins,
		AuditBackends:      map[string]audit.Factory{"file": audit.NewFileBackend},
		BuiltinRegistry:    builtins{engines: engines, logins: logins},
		DisableMlock:       true,
		Logger:             logger,
	})
	if err != nil {
		return nil, fmt.Errorf("making the core: %w", err)
	}
	return core, nil
}

// open initialises the core if its storage is new, with one unseal key, and
// unseals it. Otherwise the key comes from the environment.
func open(ctx context.Context, core *vault.Core, auditFile string) (ready, error) {
	var line ready
	initialised, err := core.Initialized(ctx)
	if err != nil {
		return line, fmt.Errorf("looking whether the storage is initialised: %w", err)
	}
	var key []byte
	if initialised {
		line.UnsealKey = os.Getenv(unsealKeyVariable)
		if line.UnsealKey == "" {
			return line, errors.New("the storage is initialised: set " + unsealKeyVariable + ", or start with -sealed")
		}
		if key, err = base64.StdEncoding.DecodeString(line.UnsealKey); err != nil {
			return line, errors.New(unsealKeyVariable + " is not Base64")
		}
	} else {
		result, err := core.Initialize(ctx, &vault.InitParams{
			BarrierConfig:  &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
			RecoveryConfig: &vault.SealConfig{},
		})
		if err != nil {
			return line, fmt.Errorf("initialising: %w", err)
		}
		key = result.SecretShares[0]
		line.UnsealKey = base64.StdEncoding.EncodeToString(key)
		line.RootToken = result.RootToken
	}

	unsealed, err := core.Unseal(key)
	if err != nil {
		return line, fmt.Errorf("unsealing: %w", err)
	}
	if !unsealed {
		return line, errors.New("unsealing: still sealed with the key given")
	}
	if auditFile != "" && !initialised {
		return line, enableAudit(ctx, core, line.RootToken, auditFile)
	}
	return line, nil
}

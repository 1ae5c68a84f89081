// Package vaulttest runs a real Vault server for tests, for the soak and for
// the demonstration, fills it, and breaks it.
//
// A test asks for one with Start or, if it seals, stops or freezes the
// server, with StartOwn; programs that are not tests use New. Which server
// that is depends on the machine:
//
//   - VAULT_ADDR and VAULT_TOKEN name one that runs already. It is used by
//     Start; StartOwn skips the test and says why. What the test made is
//     removed at its end.
//   - A vault command on PATH is run as `vault server` with file storage. It
//     needs Close: it does not end with the program that started it.
//   - Otherwise the server in integration/vault/server is built, which takes
//     minutes on a fresh machine and a second afterwards.
//
// A Proxy stands between a client and the server and plays a bad network or
// an unwell Vault; it also counts what was asked.
//
// The package runs on Unix systems.
package vaulttest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Options say how a server is started. The zero value will do.
type Options struct {
	// Dir takes the storage, the log and the other files of the server. By
	// default it is a temporary directory that Close removes.
	Dir string

	// Address is the host and port to listen on, by default a free port on
	// loopback.
	Address string

	// TLS makes the server listen with HTTPS, under a certificate that
	// Server.CAFile verifies.
	TLS bool
}

// Server is a Vault server that is unsealed unless Seal, Kill or StartSealed
// said otherwise. Its methods may be called from several goroutines, except
// those that start and end it.
type Server struct {
	// URL is the address for clients. It stays the same over Restart.
	URL string

	// CAFile is the PEM file that verifies the server, empty without TLS.
	CAFile string

	// RootToken may do everything.
	RootToken string

	// UnsealKey is the single unseal key. It is empty for an external server.
	UnsealKey string

	layout  layout
	ownsDir bool
	process *process // nil: stopped, or external
	client  *api.Client

	mu   sync.Mutex
	kv   []string       // mounts of KV version 2 that must be usable after an unseal
	undo []func() error // takes back what was done to an external server
}

// errExternal is what the methods that need a server of one's own return for
// one that VAULT_ADDR names.
var errExternal = errors.New("the server that VAULT_ADDR names is not ours to seal or stop: use StartOwn")

// Start returns a server for the test, which may be an external one (see the
// package's comment), and closes it at the test's end. VAULT_ADDR is read
// here: a test that sets it for another purpose does so afterwards.
func Start(t testing.TB) *Server {
	t.Helper()
	if os.Getenv(api.EnvVaultAddress) == "" {
		return start(t, Options{Dir: t.TempDir()})
	}
	s, err := external()
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

// StartOwn returns a server that the test may seal, kill and freeze, and
// closes it at the test's end. Where VAULT_ADDR is set it skips the test.
func StartOwn(t testing.TB) *Server {
	t.Helper()
	return startOwn(t, Options{})
}

// StartTLS is StartOwn with HTTPS.
func StartTLS(t testing.TB) *Server {
	t.Helper()
	return startOwn(t, Options{TLS: true})
}

func startOwn(t testing.TB, o Options) *Server {
	t.Helper()
	if os.Getenv(api.EnvVaultAddress) != "" {
		t.Skip("the test seals, stops or sets up its Vault server, and VAULT_ADDR names one that is not its own")
	}
	o.Dir = t.TempDir()
	return start(t, o)
}

func start(t testing.TB, o Options) *Server {
	t.Helper()
	ctx := context.Background()
	// The test's own deadline would end the process without a word.
	if test, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, ok := test.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline.Add(-5*time.Second))
			defer cancel()
		}
	}
	s, err := New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

func closeAtEnd(t testing.TB, s *Server) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the Vault server: %v", err)
		}
	})
}

// New starts a server, initialises and unseals it; ctx bounds that, a build
// included. The caller closes it. VAULT_ADDR is not looked at.
func New(ctx context.Context, o Options) (*Server, error) {
	s := &Server{layout: layout{dir: o.Dir}}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "vaulttest-")
		if err != nil {
			return nil, fmt.Errorf("making a directory for the Vault server: %w", err)
		}
		s.layout.dir, s.ownsDir = dir, true
	}
	if err := s.begin(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin returns the first start of a server on new storage.
func (s *Server) begin(ctx context.Context, o Options) (err error) {
	if s.layout.address = o.Address; o.Address == "" {
		if s.layout.address, err = freeAddress(); err != nil {
			return err
		}
	}
	s.URL = "http://" + s.layout.address
	if o.TLS {
		s.URL = "https://" + s.layout.address
		if s.layout.certFile, s.layout.keyFile, err = writeCertificate(s.layout.dir); err != nil {
			return err
		}
		s.CAFile = s.layout.certFile // signed by itself
	}
	if s.client, err = NewClient(s.URL, s.CAFile, ""); err != nil {
		return err
	}
	if err := s.startSealed(ctx); err != nil {
		return err
	}
	keys, err := s.client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialising Vault: %w", err)
	}
	s.RootToken, s.UnsealKey = keys.RootToken, keys.KeysB64[0]
	s.client.SetToken(s.RootToken)
	return s.Unseal()
}

// external returns the server that VAULT_ADDR and VAULT_TOKEN name.
func external() (*Server, error) {
	s := &Server{
		URL:       os.Getenv(api.EnvVaultAddress),
		CAFile:    os.Getenv(api.EnvVaultCACert),
		RootToken: os.Getenv(api.EnvVaultToken),
	}
	if s.RootToken == "" {
		return nil, errors.New("VAULT_ADDR is set and VAULT_TOKEN is not: the tests need a token that may mount and write policies")
	}
	var err error
	s.client, err = api.NewClient(nil) // reads the rest of VAULT_* too
	if err != nil {
		return nil, fmt.Errorf("making a client from VAULT_*: %w", err)
	}
	return s, nil
}

// NewClient returns a client for the server at url with the given token, or
// none. It has a time limit of ten seconds and never tries again. Address,
// token, namespace and headers do not come from VAULT_* variables.
func NewClient(url, caFile, token string) (*api.Client, error) {
	config := &api.Config{ // no MaxRetries: none
		Address: url,
		Timeout: 10 * time.Second,
		HttpClient: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		}},
	}
	if caFile != "" {
		if err := config.ConfigureTLS(&api.TLSConfig{CACert: caFile}); err != nil {
			return nil, fmt.Errorf("reading Vault's certificate: %w", err)
		}
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for Vault: %w", err)
	}
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}}) // and no namespace
	client.SetToken(token)
	return client, nil
}

// Client returns the client that the methods of s use: it has the root token.
func (s *Server) Client() *api.Client { return s.client }

// External reports whether VAULT_ADDR names the server.
func (s *Server) External() bool { return s.layout.dir == "" }

// LogFile is where the server writes its own log, empty if it is external.
func (s *Server) LogFile() string {
	if s.External() {
		return ""
	}
	return s.layout.logFile()
}

// Close ends the server and removes what it made.
func (s *Server) Close() error {
	if s.External() {
		s.mu.Lock()
		defer s.mu.Unlock()
		var errs []error
		for _, undo := range slices.Backward(s.undo) {
			errs = append(errs, undo())
		}
		s.undo = nil
		return errors.Join(errs...)
	}
	err := s.Kill()
	if s.ownsDir {
		err = errors.Join(err, os.RemoveAll(s.layout.dir))
	}
	return err
}

// onClose remembers how to take back a change of an external server; one of
// our own is thrown away as a whole.
func (s *Server) onClose(undo func() error) {
	if s.External() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.undo = append(s.undo, undo)
	}
}

// Package testcaddy runs Caddy inside of a test: a Caddyfile's text goes in,
// real sockets on loopback come out, and every line of the log is kept.
//
// Caddy is one per process, so tests that use this package do not run in
// parallel with one another.
package testcaddy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	// Every module that a Caddyfile of Caddy's own may name.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/countersign/caddy-countersign/module/internal/checkout"
)

// Caddy is the Caddy that runs in the test process.
type Caddy struct {
	Logs *Logs

	t       testing.TB
	storage string
	run     int64
}

// Run starts Caddy with a Caddyfile and stops it at the test's end. Whatever
// the Caddyfile says, the admin endpoint is off, nothing is kept on disk, and
// the default log goes to Logs at level debug.
func Run(t testing.TB, caddyfile string) *Caddy {
	t.Helper()
	c, err := Start(t, caddyfile)
	if err != nil {
		t.Fatalf("starting Caddy: %v", err)
	}
	return c
}

// Start is Run for a Caddyfile that may be refused.
func Start(t testing.TB, caddyfile string) (*Caddy, error) {
	t.Helper()
	storage, err := os.MkdirTemp("", "testcaddy")
	if err != nil {
		t.Fatal(err)
	}
	c := &Caddy{t: t, Logs: new(Logs), storage: storage, run: lastRun.Add(1)}
	runs.Store(c.run, c.Logs)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
		_ = os.RemoveAll(storage) // Caddy may still be writing to it
	})
	return c, c.load(caddyfile)
}

// Reload puts another Caddyfile in the place of the one that runs. It waits for
// a moment, as Caddy reports a reload as done while it still closes the old
// listeners, and a connection that waits at one of those is reset.
func (c *Caddy) Reload(caddyfile string) error {
	c.t.Helper()
	err := c.load(caddyfile)
	time.Sleep(100 * time.Millisecond)
	return err
}

func (c *Caddy) load(caddyfile string) error {
	config, err := Adapt(caddyfile)
	if err != nil {
		return err
	}
	config, err = c.complete(config)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// complete adds to a configuration what keeps it inside of the test.
func (c *Caddy) complete(config []byte) ([]byte, error) {
	var top map[string]any
	if err := json.Unmarshal(config, &top); err != nil {
		return nil, err
	}
	top["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	top["storage"] = map[string]any{"module": "file_system", "root": c.storage}
	logging := object(top, "logging")
	log := object(object(logging, "logs"), "default")
	log["writer"] = map[string]any{"output": "testcaddy", "run": c.run}
	log["encoder"] = map[string]any{"format": "json"}
	log["level"] = "DEBUG"
	return json.Marshal(top)
}

func object(parent map[string]any, name string) map[string]any {
	child, ok := parent[name].(map[string]any)
	if !ok {
		child = make(map[string]any)
		parent[name] = child
	}
	return child
}

// File is the name that error messages give to a Caddyfile of a test.
const File = "Caddyfile"

// Adapt makes JSON of a Caddyfile.
func Adapt(caddyfile string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": File})
	return config, err
}

// Validate does what "caddy validate" does.
func Validate(caddyfile string) error {
	text, err := Adapt(caddyfile)
	if err != nil {
		return err
	}
	var config *caddy.Config
	if err := caddy.StrictUnmarshalJSON(text, &config); err != nil {
		return fmt.Errorf("decoding the configuration: %w", err)
	}
	return caddy.Validate(config)
}

// FreeAddress returns a loopback address on which nobody listens. Its port is not
// one of those that the system gives to connections going out.
func FreeAddress(t testing.TB) string {
	t.Helper()
	var config net.ListenConfig
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000))) //nolint:gosec // a port, no secret
		ln, err := config.Listen(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		_ = ln.Close()
		return address
	}
	t.Fatal("no free port")
	return ""
}

// Root returns the top of the repository.
func Root() string { return checkout.Root() }

// DevKeys returns the folder of development keys of one side, "merchant" or
// "provider".
func DevKeys(side string) string { return filepath.Join(Root(), "keys-dev", side) }

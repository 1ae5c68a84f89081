// Package clients runs the example clients against the sidecar and its sandbox.
package clients

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/programs"
)

const caddyfile = `{
	admin off
	persist_config off
	auto_https off
	countersign {
		keys file %[1]s/keys-dev/merchant
		keys file %[1]s/keys-dev/provider {
			name provider
		}
	}
}
:%[2]d {
	bind 127.0.0.1
	handle_path /jeepay/* {
		countersign jeepay 127.0.0.1:%[3]d {
			keys jeepay/M1623997351
			mch_no M1623997351
			app_id 60cc3ba74ee0e6685f57eb1e
		}
	}
	handle_path /nobody/* {
		countersign jeepay 127.0.0.1:9 {
			keys jeepay/M1623997351
		}
	}
	handle {
		countersign_problem unknown_route
	}
}
:%[3]d {
	bind 127.0.0.1
	countersign_sandbox jeepay {
		keys provider jeepay/M1623997351
	}
}
`

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // it was only asked for a port
	return l.Addr().(*net.TCPAddr).Port
}

// start runs the sidecar with its sandbox and returns its port.
func start(t *testing.T) int {
	t.Helper()
	caddy, err := programs.Path(t.Context(), programs.Caddy)
	require.NoError(t, err)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	port, provider := freePort(t), freePort(t)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, caddyfile, root, port, provider), 0o600))
	cmd := exec.CommandContext(t.Context(), caddy, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	var log strings.Builder
	cmd.Stderr = &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	return port
}

// clients are the commands that run each client, and what they are built with.
var clients = []struct {
	name  string
	needs []string
	build func(dir string) []string
	run   func(dir string) []string
}{
	{"php-curl", []string{"php"}, nil, func(string) []string { return []string{"php", "php/pay_curl.php"} }},
	{"php-streams", []string{"php"}, nil, func(string) []string { return []string{"php", "php/pay_streams.php"} }},
	{"java8", []string{"javac", "java"},
		func(dir string) []string { return []string{"javac", "-d", dir, "java/Pay8.java"} },
		func(dir string) []string { return []string{"java", "-cp", dir, "Pay8"} }},
	{"java11", []string{"javac", "java"},
		func(dir string) []string { return []string{"javac", "-d", dir, "java/Pay11.java"} },
		func(dir string) []string { return []string{"java", "-cp", dir, "Pay11"} }},
	{"node", []string{"node"}, nil, func(string) []string { return []string{"node", "node/pay.mjs"} }},
	{"python", []string{"python3"}, nil, func(string) []string { return []string{"python3", "python/pay.py"} }},
	{"csharp", []string{"mcs", "mono"},
		func(dir string) []string {
			return []string{"mcs", "-out:" + filepath.Join(dir, "pay.exe"), "csharp/Pay.cs"}
		},
		func(dir string) []string { return []string{"mono", filepath.Join(dir, "pay.exe")} }},
	{"go", []string{"go"},
		func(dir string) []string { return []string{"go", "build", "-o", filepath.Join(dir, "pay"), "./golang"} },
		func(dir string) []string { return []string{filepath.Join(dir, "pay")} }},
}

func TestClients(t *testing.T) {
	port := start(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	const order = "../../caddyfiles/samples/jeepay-bind.json"
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			for _, tool := range c.needs {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("%s is not on PATH", tool)
				}
			}
			if c.name == "php-curl" && exec.Command("php", "-r", "exit(extension_loaded('curl') ? 0 : 1);").Run() != nil {
				t.Skip("PHP has no curl extension here")
			}
			dir := t.TempDir()
			if c.build != nil {
				args := c.build(dir)
				out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
				require.NoError(t, err, "%s", out)
			}
			for address, want := range map[string]struct {
				text string
				exit int
			}{
				base + "/jeepay/api/division/receiver/bind":                    {"verified {", 0},
				base + "/jeepay/api/division/receiver/bind?fault=tampered":     {"unverified response_signature_invalid", 12},
				base + "/jeepay/api/division/receiver/bind?fault=reset":        {"unknown upstream_failed", 11},
				base + "/jepay/api/division/receiver/bind":                     {"not_sent unknown_route", 10},
				base + "/nobody/api/division/receiver/bind":                    {"not_sent upstream_unreachable", 10},
				fmt.Sprintf("http://127.0.0.1:%d/jeepay/api/pay", freePort(t)): {"sidecar_unreachable", -1},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
				args := append(c.run(dir), address, order)
				out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
				cancel()
				assert.Contains(t, string(out), want.text, address)
				code := 0
				if exit, ok := errors.AsType[*exec.ExitError](err); ok {
					code = exit.ExitCode()
				}
				if want.exit >= 0 {
					assert.Equal(t, want.exit, code, "%s: %s", address, out)
				} else {
					assert.Contains(t, []int{10, 11}, code, "%s: %s", address, out)
				}
			}
		})
	}
}

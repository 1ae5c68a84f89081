// Package clients runs the example clients against the sidecar and its sandbox.
package clients

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/network/networktest"
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
:%[2]s {
	bind 127.0.0.1
	handle_path /jeepay/* {
		countersign jeepay 127.0.0.1:%[3]s {
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
:%[3]s {
	bind 127.0.0.1
	countersign_sandbox jeepay {
		keys provider jeepay/M1623997351
	}
}
`

func TestMain(m *testing.M) { process.Main(m) }

// start runs the sidecar with its sandbox and returns its port.
func start(t *testing.T) string {
	t.Helper()
	port, provider := networktest.Port(t), networktest.Port(t)
	c := process.New(t, process.Folder(t), fmt.Sprintf(caddyfile, "$REPO", port, provider))
	c.Run()
	c.Await("the sidecar listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
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
	base := "http://127.0.0.1:" + port
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
				base + "/jeepay/api/division/receiver/bind":                {"verified {", 0},
				base + "/jeepay/api/division/receiver/bind?fault=tampered": {"unverified response_signature_invalid", 12},
				base + "/jeepay/api/division/receiver/bind?fault=reset":    {"unknown upstream_failed", 11},
				base + "/jepay/api/division/receiver/bind":                 {"not_sent unknown_route", 10},
				base + "/nobody/api/division/receiver/bind":                {"not_sent upstream_unreachable", 10},
				"http://" + networktest.Address(t) + "/jeepay/api/pay":     {"sidecar_unreachable", -1},
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

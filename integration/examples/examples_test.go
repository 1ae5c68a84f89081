// Package examples_test runs each Caddyfile that ships with the commands of its own
// header, as a reader types them at the top of the checkout.
package examples_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
)

func TestMain(m *testing.M) { process.Main(m) }

// elsewhere are the examples that another test runs, because they need a Vault. The
// doctor looks at them here.
var elsewhere = map[string]string{
	"vault.Caddyfile":            "integration/vault/demo",
	"guard-treasury.Caddyfile":   "integration/guardrails",
	"guard-kubernetes.Caddyfile": "integration/guardrails",
	"quickstart.Caddyfile":       "module/providers, and integration/supplychain by ./xcaddy.sh run",
}

// Each example is clean to the doctor and runs as its header says, and none of its
// commands contacts another host.
func TestEveryExample(t *testing.T) {
	for _, program := range []string{"sh", "curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not on PATH: install it to run the commands of the examples", program)
		}
	}
	files, err := filepath.Glob(filepath.Join(process.Repository, "caddyfiles", "*.Caddyfile"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runExample(t, filepath.Base(file)) })
	}
}

func runExample(t *testing.T, name string) {
	c := newCheckout(t)
	file := filepath.Join(c.dir, "caddyfiles", name)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(c.moved(string(text))), 0o600))

	var setup, asks []string
	run := ""
	for _, command := range header(string(text)) {
		word, _, _ := strings.Cut(command, " ")
		switch command = c.moved(command); {
		case word == "redis-server":
			t.Setenv("REDIS", redistest.Start(t, "--maxmemory-policy", "noeviction").URL())
		case word == "curl", word == "cat":
			asks = append(asks, command)
		case strings.HasPrefix(command, "./caddy run "):
			run = command
		case word == "export" && strings.Contains(command, "VAULT_ADDR="), strings.HasSuffix(command, " --online"), word == "go":
			// it leaves this machine, or starts a Vault
		case strings.Contains(command, " -o countersign "):
			// it is for production, with a user of its own
		default:
			setup = append(setup, command)
		}
	}

	doctor := c.shell(append(setup, "./caddy countersign doctor --config caddyfiles/"+name)...)
	found, err := doctor.CombinedOutput()
	require.NoError(t, err, "%s", found)
	assert.Contains(t, string(found), " 0 failures", "%s", found)
	if elsewhere[name] != "" {
		return
	}

	require.NotEmpty(t, run, "the header does not say how to run it")
	require.NotEmpty(t, asks, "the header has nothing to try")
	assert.NotContains(t, string(found), "beyond this machine and was not asked", "a command of the header would contact another host")
	serve(c, append(exports(setup), "exec "+run))
	for _, command := range asks {
		out := ask(c, append(exports(setup), command))
		switch {
		case strings.HasPrefix(command, "cat "):
			assert.NotEmpty(t, out, command)
		case name == "notify.Caddyfile": // what the header sends is forged
			assert.Contains(t, out, "HTTP/1.1 401 Unauthorized\r\n", command)
			assert.Contains(t, out, `"reason":"notification_signature_invalid"`, command)
		default:
			assert.Regexp(t, `(?m)^HTTP/(1\.1 200 OK|2 200 )\r$`, out, command)
			assert.Regexp(t, `(?mi)^Countersign-Verified: true\r$`, out, command) // HTTP/2 has it in small letters
		}
	}
}

// exports returns the commands that set the environment.
func exports(commands []string) []string {
	var out []string
	for _, command := range commands {
		if strings.HasPrefix(command, "export ") {
			out = append(out, command)
		}
	}
	return out
}

// serve runs the command that serves, until the test ends.
func serve(c *checkout, commands []string) {
	cmd := c.shell(commands...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(c, cmd.Start())
	c.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if assert.NoError(c, err) && !c.Failed() {
			return
		}
		c.Logf("what Caddy wrote:\n%s", &log)
	})
}

// ask runs a command once the example serves.
func ask(c *checkout, commands []string) string {
	const cannotConnect = 7 // of curl
	for end := time.Now().Add(process.Limit); ; time.Sleep(50 * time.Millisecond) {
		out, err := c.shell(commands...).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == cannotConnect && time.Now().Before(end) {
			continue
		}
		require.NoError(c, err, "%v: %s", commands, out)
		return string(out)
	}
}

// Every sample is sent by a command in the header of an example.
func TestEverySampleHasAnExample(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(process.Repository, "caddyfiles", "*.Caddyfile"))
	require.NoError(t, err)
	var sent strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		sent.WriteString(strings.Join(header(string(text)), "\n"))
	}
	samples, err := os.ReadDir(filepath.Join(process.Repository, "caddyfiles", "samples"))
	require.NoError(t, err)
	require.NotEmpty(t, samples)
	for _, sample := range samples {
		assert.Contains(t, sent.String(), "@caddyfiles/samples/"+sample.Name()+" ")
	}
}

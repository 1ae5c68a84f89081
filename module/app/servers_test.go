package app_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// listenOn tells the process that a test starts where to listen.
const listenOn = "COUNTERSIGN_TEST_LISTEN"

// TestMain is the other process where a test has started it as such.
func TestMain(m *testing.M) {
	address := os.Getenv(listenOn)
	if address == "" {
		os.Exit(m.Run())
	}
	parsed, err := caddy.ParseNetworkAddress(address)
	if err == nil {
		_, err = parsed.Listen(caddy.ActiveContext(), 0, net.ListenConfig{}) // as Caddy does
	}
	if err == nil {
		_, _ = os.Stdout.WriteString("it listens\n")
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// another is a process that listens until the test ends.
func another(t *testing.T, address string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), listenOn+"="+address)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "it listens\n", line)
}

// Two sidecars on one port would share the requests, one of them with old keys.
func TestASecondSidecarOnThePortIsRefused(t *testing.T) {
	address := testcaddy.FreeAddress(t)
	text := keysCaddyfile(address, testcaddy.DevKeys("merchant"), "easypay/ORG000000000007")
	c, err := testcaddy.Start(t, text)
	require.NoError(t, err)
	require.NoError(t, c.Reload(strings.Replace(text, "settle 1ms", "settle 2ms", 1)), "a reload finds its own socket")
	require.NoError(t, caddy.Stop())

	another(t, address)
	for range 5 { // apps start in random order
		err = c.Reload(text)
		require.ErrorContains(t, err, "another process listens on "+address)
	}
	require.ErrorContains(t, err, "replace_running")
	require.NoError(t, testcaddy.Validate(text), "caddy validate works beside the one that runs")
	require.NoError(t, c.Reload(strings.Replace(text, "countersign {", "countersign {\nreplace_running", 1)))
}

// A configuration that leaves requests without an answer is loaded, and the log
// warns.
func TestAConfigurationThatEndsInAnEmpty200(t *testing.T) {
	text := keysCaddyfile(testcaddy.FreeAddress(t), testcaddy.DevKeys("merchant"), "easypay/ORG000000000007")
	warned := func(e testcaddy.Entry) bool { return strings.Contains(e.String("msg"), "ends in an empty 200") }
	c, err := testcaddy.Start(t, text)
	require.NoError(t, err)
	entries := c.Logs.Matching(warned)
	require.Len(t, entries, 1)
	assert.Equal(t, "warn", entries[0].String("level"))
	assert.Contains(t, entries[0].String("advice"), "countersign_problem unknown_route")

	address := testcaddy.FreeAddress(t)
	c, err = testcaddy.Start(t, strings.Replace(strings.Replace(text, "http://127.0.0.1:", "http://:", 1), "bind 127.0.0.1\n", "bind 127.0.0.1\nhandle {\ncountersign_problem unknown_route\n}\n", 1))
	require.NoError(t, err, address)
	assert.Empty(t, c.Logs.Matching(warned))
}

package listening_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/listening"
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
	fmt.Println(err)
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
	require.Equal(t, "<nil>\n", line)
}

func TestElsewhere(t *testing.T) {
	port := func(address string) string {
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		return port
	}
	for name, c := range map[string]struct {
		theirs, ours string // without the port
		taken        bool
	}{
		"the same address":                 {"127.0.0.1:", "127.0.0.1:", true},
		"they have all, we have one":       {":", "127.0.0.1:", true},
		"they have one, we have all":       {"127.0.0.1:", ":", true},
		"all of IPv4":                      {"0.0.0.0:", "127.0.0.1:", true},
		"by name":                          {"127.0.0.1:", "localhost:", true},
		"with the network":                 {"127.0.0.1:", "tcp4/127.0.0.1:", true},
		"another address of this machine":  {"127.0.0.2:", "127.0.0.1:", false},
		"a socket that was handed over":    {"127.0.0.1:", "fd/", false},
		"UDP":                              {"127.0.0.1:", "udp/127.0.0.1:", false},
		"a port that ends in the same way": {"127.0.0.1:", "127.0.0.1:1", false},
	} {
		t.Run(name, func(t *testing.T) {
			free := port(testcaddy.FreeAddress(t))
			if name == "a port that ends in the same way" {
				free = free[1:]
			}
			another(t, c.theirs+free)
			ours, err := caddy.ParseNetworkAddress(c.ours + free)
			require.NoError(t, err)
			taken, err := listening.Elsewhere(ours)
			require.NoError(t, err)
			assert.Equal(t, c.taken, taken != "", "%q", taken)
			if c.taken {
				assert.Contains(t, taken, free)
			}
		})
	}
}

// What this process listens on itself is no other's: a reload finds its own
// sockets.
func TestOwnSocketsAreNotElsewhere(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer own.Close()
	address, err := caddy.ParseNetworkAddress(own.Addr().String())
	require.NoError(t, err)
	taken, err := listening.Elsewhere(address)
	require.NoError(t, err)
	assert.Empty(t, taken)
}

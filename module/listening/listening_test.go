package listening_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
		"all, and all of IPv4":             {":", "0.0.0.0:", true},
		"all of IPv4, and all":             {"0.0.0.0:", "[::]:", true},
		"all, written as in IPv4":          {"[::1]:", "0.0.0.0:", true},
		"all of IPv4 alone, and of IPv6":   {"tcp4/0.0.0.0:", "[::1]:", false},
		"one of IPv6, and all of IPv4":     {"[::1]:", "tcp4/0.0.0.0:", false},
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

// A Unix socket is shared by nobody: whoever starts later takes the file away.
func TestElsewhereUnix(t *testing.T) {
	for name, c := range map[string]struct {
		theirs, ours string // %s is the path
		taken        bool
	}{
		"the same":              {"unix/%s", "unix/%s", true},
		"with a mode":           {"unix/%s|0600", "unix/%s|0660", true},
		"h2c":                   {"unix/%s", "unix+h2c/%s", true},
		"an abstract name":      {"unix/@countersign%s", "unix/@countersign%s", true},
		"another file":          {"unix/%s", "unix/%s2", false},
		"nobody":                {"", "unix/%s", false},
		"a file, and no socket": {"file", "unix/%s", false},
		"one that was left":     {"left", "unix/%s", false},
		"our own":               {"own", "unix/%s", false},
	} {
		t.Run(name, func(t *testing.T) {
			folder, err := os.MkdirTemp("", "listening") //nolint:usetesting // a socket's path is short
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(folder) })
			path := filepath.Join(folder, "s")
			switch c.theirs {
			case "":
			case "file":
				require.NoError(t, os.WriteFile(path, nil, 0o600))
			case "left", "own":
				listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
				require.NoError(t, err)
				listener.SetUnlinkOnClose(false)
				if c.theirs == "left" {
					require.NoError(t, listener.Close())
				} else {
					t.Cleanup(func() { _ = listener.Close() })
				}
			default:
				another(t, fmt.Sprintf(c.theirs, path))
			}
			ours, err := caddy.ParseNetworkAddress(fmt.Sprintf(c.ours, path))
			require.NoError(t, err)
			taken, err := listening.Elsewhere(ours)
			require.NoError(t, err)
			if !c.taken {
				assert.Empty(t, taken)
				return
			}
			assert.Contains(t, taken, path)
			assert.NotContains(t, taken, "|")
		})
	}
}

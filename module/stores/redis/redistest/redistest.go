// Package redistest starts a real Redis server for a test.
package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// Server is a Redis server on a loopback port.
type Server struct {
	Address string // host:port
	args    []string
	cmd     *exec.Cmd
}

// URL returns the server's address as the store takes it.
func (s *Server) URL() string { return "redis://" + s.Address + "/0" }

// Start starts a server with further arguments, until the test ends. Without
// redis-server on PATH the test is skipped.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH: install it to run this test (Debian: apt-get install redis-server)")
	}
	address := networktest.Address(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	s := &Server{Address: address, args: append([]string{
		program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
	}, args...)}
	t.Cleanup(s.Stop)
	s.Restart(t)
	return s
}

// Restart restarts the server without its data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	var output bytes.Buffer
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = &output, &output
	require.NoError(t, s.cmd.Start())
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", s.Address)
		if err != nil {
			return false
		}
		defer conn.Close() //nolint:errcheck // it was only tried
		// Before it is ready it says LOADING; an error about a password will do.
		if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
			return false
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		first := make([]byte, 8)
		n, err := conn.Read(first)
		return err == nil && (bytes.HasPrefix(first[:n], []byte("+PONG")) || bytes.HasPrefix(first[:n], []byte("-NOAUTH")))
	}, 20*time.Second, 20*time.Millisecond, "redis-server does not answer")
}

// Stop kills the server.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

//go:build unix

package redistest

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Pause has the server take connections and answer nothing, until what it
// returns is called.
func (s *Server) Pause(t testing.TB) (resume func()) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	return func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }
}

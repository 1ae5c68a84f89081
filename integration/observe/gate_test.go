package observe_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/require"
)

func init() { caddy.RegisterModule(new(gateWriter)) }

// gateWriter is a log's output that returns only once the other side of a Unix
// socket has read a line and let it pass: it shows what happens before an entry
// is written and what after.
type gateWriter struct {
	Socket string `json:"socket"`
}

// CaddyModule returns the Caddy module information.
func (*gateWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.gate", New: func() caddy.Module { return new(gateWriter) }}
}

// UnmarshalCaddyfile reads `gate <socket>`.
func (w *gateWriter) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&w.Socket) {
		return d.ArgErr()
	}
	return nil
}

// String returns the writer in logs.
func (w *gateWriter) String() string { return "gate " + w.Socket }

// WriterKey tells writers apart.
func (w *gateWriter) WriterKey() string { return w.String() }

// OpenWriter opens nothing yet.
func (w *gateWriter) OpenWriter() (io.WriteCloser, error) { return gateConn{w.Socket}, nil }

type gateConn struct{ socket string }

// Write waits until the line may pass.
func (g gateConn) Write(line []byte) (int, error) {
	conn, err := net.Dial("unix", g.socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := conn.Write(line); err != nil {
		return 0, err
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, conn)
	return len(line), err
}

// Close does nothing.
func (gateConn) Close() error { return nil }

// gate is the other side of a gateWriter.
type gate struct {
	t        *testing.T
	listener net.Listener
}

// openGate listens. The socket is named by the path that is returned.
func openGate(t *testing.T) (*gate, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate") //nolint:usetesting // the name of a socket has a limit, and a test's folder a long one
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return &gate{t, listener}, path
}

// next returns the next line, and what lets it pass.
func (g *gate) next() (line string, pass func()) {
	g.t.Helper()
	require.NoError(g.t, g.listener.(*net.UnixListener).SetDeadline(time.Now().Add(10*time.Second)))
	conn, err := g.listener.Accept()
	require.NoError(g.t, err)
	text, err := io.ReadAll(conn)
	require.NoError(g.t, err)
	return string(text), func() { conn.Close() }
}

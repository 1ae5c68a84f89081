package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/countersign/caddy-countersign/module/network"
)

// lateConn is a connection whose end is read late, as it is by a process that had no
// processor for a while.
type lateConn struct {
	net.Conn
	late chan struct{}
}

func (c lateConn) NetConn() net.Conn { return c.Conn }

func (c lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		<-c.late
	}
	return n, err
}

// No request is written to a connection that the provider has closed while it was idle,
// even if nobody has read the end: it would stay unknown.
func TestIdleConnectionThatHasEnded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows the end of a connection before it is read")
	}
	for _, version2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[version2], func(t *testing.T) {
			var accepted atomic.Pointer[net.Conn]
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
			server.EnableHTTP2 = version2
			server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
				if state == http.StateNew {
					accepted.Store(&conn)
				}
			}
			server.StartTLS()
			defer server.Close()
			var dialled []lateConn
			base := &http.Transport{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a test server
				DialContext: checked(func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := new(net.Dialer).DialContext(ctx, network, address)
					dialled = append(dialled, lateConn{conn, make(chan struct{})})
					return dialled[len(dialled)-1], err
				}),
			}
			defer base.CloseIdleConnections()
			defer func() {
				for _, conn := range dialled {
					close(conn.late)
				}
			}()
			send := func() error {
				a := new(attempt)
				timer, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				ctx := a.begin(timer, t.Context(), []byte("{}"))
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, a.body())
				require.NoError(t, err)
				r.ContentLength, r.GetBody = 2, a.again
				res, err := base.RoundTrip(r)
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				return err
			}
			if version2 {
				require.NoError(t, http2.ConfigureTransport(base)) //nolint:staticcheck // as Caddy sets it up
				serveHTTP2(base, time.Second)
			}
			require.NoError(t, send())
			require.NoError(t, send())
			require.Len(t, dialled, 1)
			require.NoError(t, (*accepted.Load()).(*tls.Conn).NetConn().Close())
			require.Eventually(t, func() bool { return network.IsEnded(dialled[0]) }, 5*time.Second, time.Millisecond)
			require.NoError(t, send())
			require.Len(t, dialled, 2)
		})
	}
}

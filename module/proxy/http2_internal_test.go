package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// A connection that is retired between the moment that a request has it and the first
// frame has carried nothing: the request goes over another one.
func TestHTTP2RetiredBeforeTheFirstFrame(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		_, _ = w.Write(text)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	base := server.Client().Transport.(*http.Transport) //nolint:errcheck,forcetypeassert // httptest's
	require.NoError(t, http2.ConfigureTransport(base))  //nolint:staticcheck // as Caddy sets it up
	h := serveHTTP2(base, 5*time.Second)

	for _, first := range []bool{true, false} { // whether the connection has served no request before
		base.CloseIdleConnections()
		if !first {
			answer, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			_ = answer.Body.Close()
		}
		a := new(attempt)
		sealed := []byte("paid once")
		ctx := a.begin(t.Context(), t.Context(), sealed)
		connections := 0
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
			if connections++; connections == 1 {
				h.close()
				time.Sleep(50 * time.Millisecond) // until it is closing
			}
		}})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, a.body())
		require.NoError(t, err)
		request.ContentLength, request.GetBody = int64(len(sealed)), a.again
		answer, err := base.RoundTrip(request)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		_ = answer.Body.Close()
		assert.Equal(t, string(sealed), string(text))
		assert.Equal(t, 2, connections)
		assert.True(t, a.connected.Load())
	}
}

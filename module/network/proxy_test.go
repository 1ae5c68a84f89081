package network_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/network"
)

// A proxy that refuses is named by its status, whatever words it has for it.
func TestAProxyThatRefusesIsNamed(t *testing.T) {
	for status, want := range map[string]string{
		"407 Proxy Authentication Required": "wants credentials (407",
		"407 authenticationrequired":        "wants credentials (407",
		"407 ":                              "wants credentials (407",
		"403 planted":                       "refused to connect, with 403 Forbidden",
		"503 planted":                       "refused to connect, with 503 Service Unavailable",
		"599 planted":                       "refused to connect, with 599",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
			}
		}()
		transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: listener.Addr().String()})}
		network.NameProxyStatus(transport)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "https://pay.example/", nil)
		require.NoError(t, err)
		_, err = transport.RoundTrip(request) //nolint:bodyclose // there is no answer
		require.Error(t, err)
		assert.Contains(t, network.Describe(err).Error(), want, status)
		assert.NotContains(t, network.Describe(err).Error(), "planted")
		require.NoError(t, listener.Close())
	}
}

package network_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
)

// What Caddy's transport says of a dial that failed is as Caddy wraps it, which
// hides the cause from errors.As.
func TestDescribeADialThatFailed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	transport := new(reverseproxy.HTTPTransport)
	require.NoError(t, transport.Provision(ctx))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+address+"/", nil)
	require.NoError(t, err)
	_, err = transport.RoundTrip(request) //nolint:bodyclose // there is no answer
	require.Error(t, err)
	assert.EqualError(t, network.Describe(err), "connection refused")
	assert.Equal(t, "连接被拒绝", i18n.Of(network.Describe(err)).In(i18n.Chinese))

	expired, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	_, err = transport.RoundTrip(request.WithContext(expired)) //nolint:bodyclose // there is no answer
	assert.EqualError(t, network.Describe(err), "it timed out")

	lookup := &net.DNSError{Err: "no such host", Name: "provider.example", IsNotFound: true}
	assert.EqualError(t, network.Describe(reverseproxy.NewDialError(&net.OpError{Op: "dial", Net: "tcp", Err: lookup})), "no such host")
	unreachable := reverseproxy.NewDialError(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)})
	assert.Equal(t, "网络不可达", i18n.Of(network.Describe(unreachable)).In(i18n.Chinese))
	assert.EqualError(t, network.Describe(lookup), "the name provider.example does not resolve")
	assert.EqualError(t, network.Describe(errors.New("malformed HTTP response \"4111111111111111\"")), "the connection broke, or what came was not HTTP")
}

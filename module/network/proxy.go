package network

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// proxyError is the status with which an HTTP proxy refused to connect.
type proxyError int

func (e proxyError) Error() string { return "the proxy answers " + strconv.Itoa(int(e)) }

// NameProxyStatus makes a transport fail with the status of a proxy that refuses to
// connect. By default its error is the proxy's status text, which can be any text.
func NameProxyStatus(t *http.Transport) {
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode != http.StatusOK {
			return proxyError(answer.StatusCode)
		}
		return nil
	}
}

func (e proxyError) describe() i18n.Text {
	if e == http.StatusProxyAuthRequired {
		return i18n.T("the proxy on the way wants credentials (407 Proxy Authentication Required): give them in its address, as in http { network_proxy url http://user:password@proxy:3128 }")
	}
	return i18n.T("the proxy on the way refused to connect, with %d %s", int(e), http.StatusText(int(e)))
}

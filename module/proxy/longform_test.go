package proxy_test

import (
	"testing"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// startLongForm runs a reverse_proxy with the transport, without the handler.
// Site stands beside it in the site.
func startLongForm(t testing.TB, upstreams, options, proxy, site string) *sidecar {
	t.Helper()
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, longForm(address, upstreams, options, proxy, site))
	return &sidecar{Caddy: c, t: t, url: "http://" + address + "/easypay/ledger/mpos"}
}

// longForm is a Caddyfile with the transport.
func longForm(address, upstreams, options, proxy, site string) string {
	return `{
	countersign {
		keys file ` + testcaddy.DevKeys("merchant") + `
	}
}
http://` + address + ` {
	log
	bind 127.0.0.1
	handle_path /easypay/* {
		reverse_proxy ` + upstreams + ` {
			transport countersign easypay {
				keys easypay/` + organisation + `
				` + options + `
			}
			` + proxy + `
		}
	}
	` + site + `
}
`
}

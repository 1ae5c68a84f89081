package proxy_test

import (
	"io"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// Where reverse_proxy finds no upstream the transport has no part, and
// countersign_problem says what that means all the same.
func TestLongFormWithoutAnUpstream(t *testing.T) {
	s := startLongForm(t, testcaddy.FreeAddress(t), "", "fail_duration 30s\n\t\t\tmax_fails 1", "handle_errors {\n\t\tcountersign_problem\n\t}")
	for range 2 { // the first is refused at the dial, the second finds no upstream
		answer, err := testcaddy.TryPost(t.Context(), s.url, sample(t))
		require.NoError(t, err)
		assert.Equal(t, 502, answer.Status)
		assert.Equal(t, "not_sent", answer.Header.Get("Countersign-Outcome"))
		assert.Contains(t, string(answer.Body), "upstream_unreachable")
	}
}

// The length of a verified answer binds its headers to its body: what another
// handler puts in the place of the body does not arrive as a whole answer.
func TestAnotherBodyIsNotTakenForTheVerifiedOne(t *testing.T) {
	d := newDouble(t)
	s := startLongForm(t, d.Address, "", "", "")
	answer := s.post(sample(t))
	s.ok(t, answer)
	assert.Less(t, len(answer.Body), 2048, "of which Go's server would find out the length by itself")
	assert.Equal(t, strconv.Itoa(len(answer.Body)), answer.Header.Get("Content-Length"))

	s = startLongForm(t, d.Address, "", "handle_response {\ncopy_response_headers\nrespond `{}` 200\n}", "")
	_, err := testcaddy.TryPost(t.Context(), s.url, sample(t))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

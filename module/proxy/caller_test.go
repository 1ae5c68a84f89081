package proxy_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// The caller is who has authenticated. A certificate that the server has not
// verified names nobody: anyone can make one with any name.
func TestCaller(t *testing.T) {
	ca, stranger := testcaddy.NewCA(t), testcaddy.NewCA(t)
	server := ca.Issue(t, "sidecar")
	anna, forged := ca.Issue(t, "anna"), stranger.Issue(t, "anna")
	trust := "\ntrust_pool file {\n pem_file " + ca.File + "\n}"
	d := newDouble(t)
	for _, test := range []struct {
		clientAuth string
		with       *testcaddy.Leaf
		caller     string
	}{
		{"mode require_and_verify" + trust, &anna, "CN=anna"},
		{"mode verify_if_given" + trust, &anna, "CN=anna"},
		{"mode verify_if_given" + trust, nil, ""},
		{"mode request", &forged, ""},
		{"mode require", &forged, ""},
		{"mode request" + trust, &forged, ""},
		{"mode require" + trust, &anna, ""},
	} {
		for _, budget := range []string{"", "budget each sum bizData.orderSubDetails.*.transAmt 1000 per 1h by {caller}"} {
			t.Run(strings.ReplaceAll(test.clientAuth+" "+budget, "\n", " "), func(t *testing.T) {
				address := testcaddy.FreeAddress(t)
				_, port, err := net.SplitHostPort(address)
				require.NoError(t, err)
				text := strings.Replace(sidecarText(address, d.Address, budget), "{", "{\n auto_https off", 1)
				text = strings.Replace(text, "http://"+address+" {", "https://sidecar:"+port+" {\n tls "+server.CertFile+" "+server.KeyFile+" {\n client_auth {\n"+test.clientAuth+"\n}\n}", 1)
				s := &sidecar{Caddy: testcaddy.Run(t, text), t: t}
				config := &tls.Config{RootCAs: ca.Pool, ServerName: "sidecar"}
				if test.with != nil {
					config.Certificates = []tls.Certificate{test.with.TLS}
				}
				client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
				request, err := http.NewRequest(http.MethodPost, "https://"+address+"/easypay/ledger/mpos", bytes.NewReader(sample(t)))
				require.NoError(t, err)
				request.Host = "sidecar"
				request.Header.Set("Content-Type", "application/json")
				answer, err := client.Do(request)
				require.NoError(t, err)
				defer answer.Body.Close()
				require.Contains(t, []int{http.StatusOK, http.StatusForbidden}, answer.StatusCode)
				entry := s.Logs.Audit(t, 1)
				assert.Equal(t, test.caller, entry.String("caller"))
				if test.caller == "" && budget != "" {
					assert.Equal(t, http.StatusForbidden, answer.StatusCode, "nobody has no budget")
					return
				}
				assert.Equal(t, http.StatusOK, answer.StatusCode)
			})
		}
	}
}

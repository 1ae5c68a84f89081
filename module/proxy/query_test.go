package proxy_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// Where a provider takes its members in the query, an application may send them there, as
// it did to the provider. Guardrails see them.
func TestAnApplicationThatSendsAQuery(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "M1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "M1", "secret"), []byte("s3cret"), 0o600))
	p := testcaddy.NewProvider(t, func(c *testcaddy.Conn) {
		if c.Request() != nil {
			c.Answer(200, closing, []byte("{}"))
		}
	})
	address := testcaddy.FreeAddress(t)
	testcaddy.Run(t, `{
	admin off
	countersign {
		keys file `+dir+`
		recipe inquery {
			methods GET POST
			text members {
				sorted body except sign
			}
			request {
				send query
				sign body.sign hmac-sha256 hex members
			}
		}
	}
}
http://`+address+` {
	bind 127.0.0.1
	countersign inquery `+p.Address+` {
		keys M1
		unsigned_responses pass
		limit amount 100
	}
}`)
	for _, test := range []struct {
		method, query, contentType, body string
		want                             int
	}{
		{"POST", "amount=9", "", "", 200},
		{"GET", "amount=9", "", "", 200},
		{"POST", "", "application/x-www-form-urlencoded", "amount=9", 200},
		{"POST", "", "application/json", `{"amount":9}`, 200},
		{"POST", "amount=101", "", "", 403},
		{"POST", "amount=9&amount%5B%5D=101", "", "", 400},
		{"POST", "", "", "", 415},
		{"POST", "amount=9", "application/json", `{"amount":9}`, 422},
	} {
		a := testcaddy.Post(t, "http://"+address+"/?"+test.query, []byte(test.body), func(r *http.Request) {
			r.Method = test.method
			r.Header.Del("Content-Type")
			if test.contentType != "" {
				r.Header.Set("Content-Type", test.contentType)
			}
		})
		require.Equal(t, test.want, a.Status, "%+v: %s", test, a.Body)
		if test.want == 200 {
			assert.Regexp(t, `^/\?amount=9&sign=[0-9a-f]{64}$`, p.Last(t).Target)
			assert.Empty(t, p.Last(t).Body)
		}
		if test.want == 415 {
			assert.Contains(t, string(a.Body), "application/json or application/x-www-form-urlencoded")
		}
	}
}

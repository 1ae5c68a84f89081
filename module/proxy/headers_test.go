package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// many gives a request more headers than reverse_proxy is given without need.
func many(header string, value any) func(*http.Request) {
	return func(r *http.Request) {
		for i := range 8 {
			r.Header.Set(fmt.Sprintf("X-More-%d", i), "planted")
		}
		r.Header.Set(header, fmt.Sprint(value))
	}
}

// What is not forwarded may still choose among upstreams.
func TestAHeaderChoosesTheUpstream(t *testing.T) {
	one, two := newDouble(t), newDouble(t)
	s := startSidecar(t, one.Address+" "+two.Address, "reverse_proxy {\nlb_policy header X-Tenant\n}")
	ends := make(map[bool]int)
	for tenant := range 12 {
		var first bool
		for try := range 3 {
			before := one.Delivered()
			s.ok(t, s.post(sample(t), many("X-Tenant", tenant)))
			atOne := one.Delivered() > before
			if try == 0 {
				first = atOne
			}
			require.Equal(t, first, atOne, "tenant %d", tenant)
		}
		ends[first]++
	}
	assert.Len(t, ends, 2, "both are chosen")
	assert.Empty(t, one.Last(t).Header["X-Tenant"])
}

// The routes of handle_response see the request as it came.
func TestResponseRoutesSeeAllHeaders(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "reverse_proxy {\nhandle_response {\n@gold header X-Tenant gold\nheader @gold X-Is gold\nheader X-Was {http.request.header.X-Tenant}\ncopy_response\n}\n}")
	for tenant, is := range map[string]string{"gold": "gold", "lead": ""} {
		answer := s.post(sample(t), many("X-Tenant", tenant))
		s.ok(t, answer)
		assert.Equal(t, is, answer.Header.Get("X-Is"))
		assert.Equal(t, tenant, answer.Header.Get("X-Was"))
	}
}

// A header that the client names in Connection is its own affair with us, and is
// not forwarded.
func TestConnectionNamesAForwardedHeader(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "forward_headers X-Trace")
	s.ok(t, s.post(sample(t), many("X-Trace", 1)))
	assert.Equal(t, []string{"1"}, d.Last(t).Header["X-Trace"])
	s.ok(t, s.post(sample(t), many("X-Trace", 1), func(r *http.Request) { r.Header.Set("Connection", "X-Trace") }))
	assert.Empty(t, d.Last(t).Header["X-Trace"])
	for i := range 8 {
		assert.Empty(t, d.Last(t).Header[fmt.Sprintf("X-More-%d", i)])
	}
}

// More large answers at once than are opened at once: each gets its turn.
func TestManyLargeAnswersAtOnce(t *testing.T) {
	d := newDouble(t)
	text := signBizData(t, d.keys.Sign, map[string]string{"tradeRetCode": "00", "remark": strings.Repeat("分账", 300<<10)})
	d.set(func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			c.Answer(200, closing, text)
		}
	})
	s := startSidecar(t, d.Address, "")
	var group sync.WaitGroup
	for range 24 {
		group.Go(func() {
			answer := testcaddy.Post(t, s.url, sample(t))
			for again := 0; answer.Status == 503 && again < 50; again++ {
				answer = testcaddy.Post(t, s.url, sample(t)) // on a busy machine a request is refused before it is signed
			}
			assert.Equal(t, 200, answer.Status)
			assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"))
			assert.Equal(t, string(text), string(answer.Body))
		})
	}
	group.Wait()
}

// What the headers Countersign-* say is the sidecar's word: a configuration that
// sets one on every answer, the unsigned ones too, is refused at load.
func TestHeaderDownCannotSayWhatIsVerified(t *testing.T) {
	for line, want := range map[string]string{
		"header_down Countersign-Verified true":       "header_down Countersign-Verified is refused",
		"header_down +countersign-signed *":           "is refused",
		"header_down Countersign-Outcome ok not_sent": "header_down Countersign-Outcome is refused",
		"header_down -Countersign-Signed":             "",
		"header_down X-Verified true":                 "",
	} {
		err := testcaddy.Validate(sidecarText("127.0.0.1:1", "127.0.0.1:1", "reverse_proxy {\n"+line+"\n}"))
		if want == "" {
			assert.NoError(t, err, line)
			continue
		}
		require.ErrorContains(t, err, want, line)
		assert.Regexp(t, `, at Caddyfile:\d+$`, err.Error(), line)
	}
}

package proxy_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"

	_ "github.com/countersign/caddy-countersign/module/stores/memory"
	_ "github.com/countersign/caddy-countersign/module/stores/redis"
)

// order returns the sample with an order number and amounts of its own.
func order(t testing.TB, trace, one, two string) []byte {
	t.Helper()
	text := replaceOnce(t, sample(t), "ORG0000720220224055510123456", trace)
	text = replaceOnce(t, text, `"transAmt": "30"`, `"transAmt": "`+one+`"`)
	return replaceOnce(t, text, `"transAmt": "70"`, `"transAmt": "`+two+`"`)
}

// asText gives the details as a string, as an application may.
func asText(t testing.TB, body []byte) []byte {
	t.Helper()
	start := strings.Index(string(body), "[")
	end := strings.LastIndex(string(body), "]") + 1
	details := strings.NewReplacer(`"`, `\"`, "\n", "").Replace(string(body[start:end]))
	return []byte(string(body[:start]) + `"` + details + `"` + string(body[end:]))
}

// refused checks that a guardrail refused a request, before anything left.
func (s *sidecar) refused(t *testing.T, d *double, answer *testcaddy.Answer, reason, rule string) map[string]any {
	t.Helper()
	before := d.Delivered()
	status := map[string]int{"duplicate_request": http.StatusConflict, "store_unavailable": http.StatusServiceUnavailable}[reason]
	if status == 0 {
		status = http.StatusForbidden
	}
	require.Equal(t, status, answer.Status, "%s", answer.Body)
	p := answer.JSON(t)
	assert.Equal(t, reason, p["reason"])
	assert.Equal(t, "not_sent", p["outcome"])
	assert.Equal(t, "not_sent", answer.Header.Get("Countersign-Outcome"))
	entry := s.Logs.Audit(t, s.asked)
	assert.Equal(t, reason, entry.String("outcome"))
	assert.Equal(t, "refused:"+rule, entry.String("guard"))
	assert.Empty(t, entry["key_fingerprints"], "no key was touched")
	assert.Empty(t, entry.String("canonical_sha256"))
	assert.Equal(t, before, d.Delivered())
	return p
}

// What leaves encrypted is seen in plain, as JSON and as a string.
func TestGuardrailsSeeWhatIsEncrypted(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, `allow POST /ledger/mpos
			require orgId ORG000000000007
			require bizData.orderSubDetails.*.orgMercode 83113535812*
			limit bizData.orderSubDetails.*.transAmt 70.00
			limit sum bizData.orderSubDetails.*.transAmt 100
			profile encrypted`)
	for _, form := range []func(testing.TB, []byte) []byte{func(_ testing.TB, b []byte) []byte { return b }, asText} {
		answer := s.post(form(t, order(t, "T1", "30", "70")))
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
		assert.Equal(t, "passed", s.Logs.Audit(t, s.asked).String("guard"))
		sent := d.Delivered()
		s.refused(t, d, s.post(form(t, order(t, "T1", "30", "70.01"))), "over_limit", "limit")
		s.refused(t, d, s.post(form(t, order(t, "T1", "30.01", "70"))), "over_limit", "limit")
		s.refused(t, d, s.post(form(t, order(t, "T1", "3e1", "70"))), "over_limit", "limit")
		s.refused(t, d, s.post(form(t, order(t, "T1", "-1", "70"))), "over_limit", "limit")
		s.refused(t, d, s.post(form(t, replaceOnce(t, order(t, "T1", "30", "70"), `"831135358120003"`, `"999999999999999"`))), "not_allowed", "require")
		s.refused(t, d, s.post(form(t, replaceOnce(t, order(t, "T1", "30", "70"), `"transAmt": "70"`, `"transAmt": "70", "TransAmt": "9000"`))), "over_limit", "limit")
		s.refused(t, d, s.post(replaceOnce(t, form(t, order(t, "T1", "30", "70")), `"ORG000000000007"`, `"ORG000000000008"`)), "not_allowed", "require")
		assert.Equal(t, sent, d.Delivered())
	}
}

// A budget and an order are given back where no byte can have reached the
// provider, and kept wherever one may have.
func TestReservationsFollowTheOutcome(t *testing.T) {
	d := newDouble(t)
	rules := `unique orgTrace for 1h
			budget all sum bizData.orderSubDetails.*.transAmt 100 per 1h by orgTrace
			profile outcome`
	for name, test := range map[string]struct {
		upstream, options string
		handle            func(*testcaddy.Conn)
		outcome           string // of the first request
		kept              bool
	}{
		"no upstream":         {testcaddy.FreeAddress(t), "", nil, "upstream_unreachable", false},
		"no key set":          {d.Address, "keys easypay/nobody", nil, "unknown_key_set", false},
		"lost connection":     {d.Address, "", func(c *testcaddy.Conn) { c.Request(); c.Reset() }, "upstream_failed", true},
		"no answer":           {d.Address, "timeout 200ms", func(c *testcaddy.Conn) { c.Request(); c.Request() }, "upstream_timeout", true},
		"a wrong signature":   {d.Address, "", faulty(d, provider.BadSignature), "response_signature_invalid", true},
		"no signature":        {d.Address, "", faulty(d, provider.Unsigned), "response_unsigned", true},
		"an answer":           {d.Address, "", d.genuine, "ok", true},
		"unsigned, passed on": {d.Address, "unsigned_responses pass", faulty(d, provider.Unsigned), "unsigned", true},
	} {
		t.Run(name, func(t *testing.T) {
			if test.handle != nil {
				d.set(test.handle)
			}
			options := rules
			if !strings.HasPrefix(test.options, "keys") {
				options += "\n" + test.options
			}
			address := testcaddy.FreeAddress(t)
			text := sidecarText(address, test.upstream, options)
			if strings.HasPrefix(test.options, "keys") {
				text = strings.Replace(text, "keys easypay/"+organisation, test.options, 1)
			}
			s := &sidecar{Caddy: testcaddy.Run(t, text), t: t, url: "http://" + address + "/easypay/ledger/mpos"}
			trace := "T" + strings.ReplaceAll(name, " ", "")
			first := s.post(order(t, trace, "30", "70"))
			id := s.Logs.Audit(t, 1).String("id")
			if first.Status != http.StatusOK {
				assert.Equal(t, test.outcome, first.JSON(t)["reason"])
			}
			d.set(d.genuine)
			again := s.post(order(t, trace, "30", "70"))
			if !test.kept {
				assert.Equal(t, test.outcome, again.JSON(t)["reason"], "free again")
				return
			}
			p := s.refused(t, d, again, "duplicate_request", "unique")
			assert.Equal(t, id, p["first_id"])
			assert.Equal(t, test.outcome, p["first_outcome"])
		})
	}
}

// faulty returns a provider whose answer has a fault.
func faulty(d *double, fault provider.Fault) func(*testcaddy.Conn) {
	return func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			c.Answer(200, closing, easypayAnswer(d.keys, r, fault).Body)
		}
	}
}

// While the first is under way the second is refused with running; and a refusal gives
// back what rules before it have reserved.
func TestARunningOrder(t *testing.T) {
	d := newDouble(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	d.set(func(c *testcaddy.Conn) {
		r := c.Request()
		if r == nil {
			return
		}
		close(arrived)
		<-answer
		c.Answer(200, closing, easypayAnswer(d.keys, r, "").Body)
	})
	s := startSidecar(t, d.Address, `budget all sum bizData.orderSubDetails.*.transAmt 150 per 1h
			unique orgTrace for 1h
			profile running`)
	done := make(chan *testcaddy.Answer, 1)
	go func() {
		a, _ := testcaddy.TryPost(t.Context(), s.url, order(t, "T1", "30", "70"))
		done <- a
	}()
	<-arrived
	s.asked++
	p := s.refused(t, d, s.ask(order(t, "T1", "1", "1")), "duplicate_request", "unique")
	assert.Equal(t, "running", p["first_outcome"])
	assert.Regexp(t, `^[A-Z0-9]{26}$`, p["first_id"])
	close(answer)
	first := <-done
	require.NotNil(t, first)
	require.Equal(t, http.StatusOK, first.Status)
	d.set(d.genuine)
	s.asked++
	s.refused(t, d, s.post(order(t, "T2", "30", "20.01")), "over_budget", "budget")
	assert.Equal(t, http.StatusOK, s.post(order(t, "T2", "30", "20")).Status, "the duplicate's 2 were given back")
	s.refused(t, d, s.post(order(t, "T3", "0.01", "0")), "over_budget", "budget")
}

// ask posts without counting: the entry of one that was counted has not come yet.
func (s *sidecar) ask(body []byte) *testcaddy.Answer { return testcaddy.Post(s.t, s.url, body) }

// guard report lets everything pass and says what it would have refused.
func TestGuardReport(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, `guard report
			allow POST /elsewhere
			limit bizData.orderSubDetails.*.transAmt 1
			profile report`)
	answer := s.post(sample(t))
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	assert.Equal(t, 1, d.Delivered())
	assert.Equal(t, "report:allow", s.Logs.Audit(t, 1).String("guard"))
	said := s.Logs.Wait(t, 2, func(e testcaddy.Entry) bool { return e.String("msg") == "a guardrail would have refused a request" })
	for i, rule := range []string{"allow", "limit"} { // every rule, so that each limit is found in one run
		assert.Equal(t, rule, said[i].String("rule"))
		assert.Contains(t, said[i].String("at"), "Caddyfile:")
		assert.Equal(t, s.Logs.Audit(t, 1).String("id"), said[i].String("id"))
	}
}

// A store that is away refuses. Nothing passes, and nothing is sent.
func TestGuardStoreIsAway(t *testing.T) {
	d := newDouble(t)
	server := redistest.Start(t)
	for name, rule := range map[string]string{
		"unique": "unique orgTrace for 1h " + server.URL(),
		"budget": "budget all sum bizData.orderSubDetails.*.transAmt 1000 per 1h " + server.URL(),
	} {
		t.Run(name, func(t *testing.T) {
			server.Restart(t)
			s := startSidecar(t, d.Address, rule+"\nprofile away")
			require.Equal(t, http.StatusOK, s.post(order(t, "T1", "1", "1")).Status)
			server.Stop()
			s.refused(t, d, s.post(order(t, "order-that-no-id-holds", "1", "1")), "store_unavailable", name)
			assert.NotContains(t, s.Logs.Text(), "order-that-no-id-holds")
		})
	}
}

// allow is about the path that leaves: one that is rewritten later is refused at
// load.
func TestGuardrailsAndRewrites(t *testing.T) {
	for _, options := range []string{"allow POST /a\nreverse_proxy {\n rewrite /b\n}", "limit bizData.transAmt 5\nreverse_proxy {\n method PUT\n}"} {
		err := testcaddy.Validate(sidecarText("127.0.0.1:20001", "127.0.0.1:1", options))
		require.ErrorContains(t, err, "before countersign")
	}
	d := newDouble(t)
	address := testcaddy.FreeAddress(t)
	text := strings.Replace(sidecarText(address, d.Address, "allow POST /ledger/mpos"), "		countersign easypay", "		rewrite /alias /ledger/mpos\n		countersign easypay", 1)
	s := &sidecar{Caddy: testcaddy.Run(t, text), t: t, url: "http://" + address + "/easypay/alias"}
	require.Equal(t, http.StatusOK, s.post(sample(t)).Status)
	assert.Equal(t, "/ledger/mpos", d.Last(t).Target)
}

// Whatever an application writes on its connection, the guardrails see what the
// provider sees.
func TestAroundTheGuardrails(t *testing.T) {
	d := newDouble(t)
	d.set(d.patient)
	s := openSidecar(t, d.Address, "", `allow POST /ledger/mpos
			limit bizData.orderSubDetails.*.transAmt 100
			limit sum bizData.orderSubDetails.*.transAmt 100
			timeout 2s`)
	good, bad := string(order(t, "T1", "30", "70")), string(order(t, "T1", "30", "7000"))
	request := func(method, target, header, body string) string {
		return method + " " + target + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n" + header + "\r\n" + body
	}
	chunked := func(body, trailer string) string {
		return "POST /easypay/ledger/mpos HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-Amount\r\nConnection: close\r\n\r\n" +
			strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n0\r\n" + trailer + "\r\n"
	}
	one := func(text string) attack { return attack{text, 1, "/ledger/mpos"} }
	none := func(text string) attack { return attack{text, 0, ""} }
	const path = "/easypay/ledger/mpos"
	all := map[string]attack{
		"the good one":         one(request("POST", path, "", good)),
		"the bad one":          none(request("POST", path, "", bad)),
		"chunked":              one(chunked(good, "")),
		"chunked, bad":         none(chunked(bad, "")),
		"chunked, a trailer":   one(chunked(good, "X-Amount: 7000\r\nContent-Type: text/plain\r\n")),
		"two objects":          none(request("POST", path, "", good+bad)),
		"a list of two":        none(request("POST", path, "", "["+good+","+bad+"]")),
		"a byte order mark":    none(request("POST", path, "", "\ufeff"+bad)),
		"a method in a header": one(request("POST", path, "X-HTTP-Method-Override: DELETE\r\nX-Method-Override: PUT\r\nX-Original-URL: /x\r\nX-Rewrite-URL: /x\r\n", good)),
		"a form":               none(strings.Replace(request("POST", path, "", "transAmt=1"), "application/json", "application/x-www-form-urlencoded", 1)),
		"two types":            none(request("POST", path, "Content-Type: application/x-www-form-urlencoded\r\n", good)),
		"another charset":      none(strings.Replace(request("POST", path, "", good), "application/json", "application/json; charset=utf-16", 1)),
		"a coding":             none(request("POST", path, "Content-Encoding: gzip\r\n", good)),
		"two lengths":          none(request("POST", path, "Content-Length: 3\r\n", good)),
	}
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "post", "Post", "QUERY", "OPTIONS"} {
		all["method "+method] = none(request(method, path, "", good))
	}
	for _, target := range []string{
		"/easypay/ledger/mpos/", "/easypay/ledger/%6dpos", "/easypay/ledger/MPOS", "/easypay/ledger/mpos%2f", "/easypay/ledger/mpos;x=1", "/easypay/ledger/mpos%3fx", "/easypay/ledger/mpos%00", "/easypay/ledger/mpos%20",
		"/easypay/%2e%2e/ledger/mpos", "/easypay/ledger/%252e%252e/mpos", "/easypay", "/easypay/", "/easypay/ledger/mpos#x",
		// handle_path cleans these, and what would leave is what is allowed
		"/easypay//ledger/mpos", "/easypay/./ledger/mpos", "/easypay/ledger/mpos/.", "/easypay/ledger/x/../mpos", "/easypay/../easypay/ledger/mpos", "//easypay/ledger/mpos",
	} {
		all["target "+target] = none(request("POST", target, "", good))
	}
	s.attacks(t, d, all)
	for _, r := range d.Received() {
		assert.Equal(t, "POST", r.Method)
		assert.Equal(t, "/ledger/mpos", r.Target)
		assert.NotContains(t, strings.ToLower(string(r.Raw)), "override")
		assert.NotContains(t, string(r.Raw), "X-Amount")
	}
}

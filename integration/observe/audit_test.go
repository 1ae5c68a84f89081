package observe_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// entry is an audit entry, as the log has it.
type entry map[string]any

// entries returns the audit entries so far.
func (s *sidecar) entries() []entry {
	s.T.Helper()
	var all []entry
	for line := range strings.Lines(s.Read("audit.log")) {
		var e entry
		require.NoError(s.T, json.Unmarshal([]byte(line), &e), line)
		all = append(all, e)
	}
	return all
}

func (e entry) names() []string {
	var names []string
	for name := range e {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// auditFields are the fields of an entry: zap's own, and the contract's.
var auditFields = []string{
	"level", "ts", "logger", "msg",
	"id", "profile", "scheme", "reference", "key_fingerprints", "canonical_sha256",
	"request_bytes", "response_bytes", "seal_ms", "upstream_ms", "open_ms", "upstream_status", "outcome",
}

func TestAuditEntryHasTheFieldsAndNothingElse(t *testing.T) {
	s := start(t, global(auditTo(auditFile))+
		app(short("/east", provider, "profile east"), long("/long", provider, ""))+providers())
	body := sample(t, "easypay")

	res := s.post("/east/ledger/mpos", body)
	require.Equal(t, http.StatusOK, res.status, res.body)
	res = s.post("/east/ledger/mpos?fault=bad_signature", body)
	require.Equal(t, http.StatusBadGateway, res.status)
	res2 := s.post("/long/ledger/mpos", []byte("{"))
	require.Equal(t, http.StatusBadRequest, res2.status)

	all := s.entries()
	require.Len(t, all, 3)
	slices.Sort(auditFields)
	for _, e := range all {
		assert.Equal(t, auditFields, e.names())
		assert.Equal(t, "info", e["level"])
		assert.Equal(t, "http.countersign.audit", e["logger"])
		assert.Regexp(t, `^[A-Z2-7]{26}$`, e["id"])
		assert.Equal(t, "easypay", e["scheme"])
		assert.Equal(t, "easypay/ORG000000000007", e["reference"])
	}

	ok := all[0]
	assert.Equal(t, "east", ok["profile"])
	assert.Equal(t, "ok", ok["outcome"])
	assert.EqualValues(t, http.StatusOK, ok["upstream_status"])
	assert.EqualValues(t, len(body), ok["request_bytes"])
	assert.Greater(t, ok["response_bytes"], 100.0)
	assert.Regexp(t, `^[0-9a-f]{64}$`, ok["canonical_sha256"])
	for _, stage := range []string{"seal_ms", "upstream_ms", "open_ms"} {
		assert.Greater(t, ok[stage], 0.0, stage)
	}
	// Signed, encrypted and verified: three keys.
	prints := ok["key_fingerprints"].([]any)
	assert.Len(t, prints, 3)
	for _, print := range prints {
		assert.Regexp(t, `^[0-9a-f]{64}$`, print)
	}

	failed := all[1]
	assert.Equal(t, "response_signature_invalid", failed["outcome"])
	assert.Contains(t, res.body, `"id":"`+failed["id"].(string)+`"`)
	assert.Greater(t, failed["open_ms"], 0.0)

	refused := all[2]
	assert.Equal(t, "invalid_request", refused["outcome"])
	assert.Equal(t, "easypay", refused["profile"])
	assert.Empty(t, refused["key_fingerprints"])
	assert.Empty(t, refused["canonical_sha256"])
	assert.Zero(t, refused["upstream_status"])

	// The entries are in their file and nowhere else.
	assert.NotContains(t, s.Read("default.log"), "http.countersign.audit")
}

// A client reads its answer only after the entry was given to the log, and gets it
// although the log holds the entry back.
func TestAuditEntryIsGivenToTheLogBeforeTheAnswerIsReleased(t *testing.T) {
	t.Parallel()
	gate, socket := openGate(t)
	down := "127.0.0.1:1"
	s := start(t, global(auditTo("gate "+socket))+
		app(short("/short", provider), long("/long", provider, ""),
			short("/down", down), long("/longdown", down, ""),
			short("/retried", down+" 127.0.0.1:2", "reverse_proxy {", "lb_retries 1", "}"),
			long("/longretried", down+" 127.0.0.1:2", "lb_retries 1"),
			notify("/notify"), notify("/once", "once 1m"))+
		providers())
	request := string(sample(t, "easypay"))
	notification := string(genuine(t, providerKey, map[string]string{"oriOrgTrace": "1"}))

	for path, outcome := range map[string]string{
		"/short/ledger/mpos":                "ok",
		"/long/ledger/mpos":                 "ok",
		"/short/ledger/mpos?fault=tampered": "response_signature_invalid",
		"/long/ledger/mpos?fault=tampered":  "response_signature_invalid",
		"/short/ledger/mpos?fault=not_json": "response_invalid",
		"/short/ledger/mpos?fault=reset":    "upstream_failed",
		"/down/ledger/mpos":                 "upstream_unreachable",
		"/longdown/ledger/mpos":             "upstream_unreachable",
		"/retried/ledger/mpos":              "upstream_unreachable",
		"/longretried/ledger/mpos":          "upstream_unreachable",
		"/notify":                           "ok",
		"/notify?bad=form":                  "notification_signature_invalid",
		"/once":                             "ok",
	} {
		t.Run(path, func(t *testing.T) {
			conn, err := net.Dial("unix", s.Path("app"))
			require.NoError(t, err)
			defer conn.Close()
			body := request
			switch path {
			case "/notify", "/once":
				body = notification
			case "/notify?bad=form":
				body = `{"bizData":{"a":"1"},"sign":"AAAA"}`
			}
			_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
			require.NoError(t, err)

			line, pass := gate.next()
			assert.Contains(t, line, `"outcome":"`+outcome+`"`)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
			first := make([]byte, 1)
			_, err = conn.Read(first)
			require.NoError(t, err)
			assert.Equal(t, "H", string(first))
			pass()
		})
	}
}

// However often a dial fails and is tried again, the exchange has one entry and
// counts once, under one id.
func TestAuditHasOneEntryAnExchangeOverDialRetries(t *testing.T) {
	first := "lb_policy first\nlb_try_duration 2s\nlb_try_interval 20ms\nfail_duration 1s"
	s := start(t, global(auditTo(auditFile))+
		app(short("/short", "127.0.0.1:1 127.0.0.1:2 "+provider, "profile short", "reverse_proxy {", first, "}"),
			long("/long", "127.0.0.1:3 127.0.0.1:4 "+provider, first, "profile long"),
			long("/downtries", "127.0.0.1:1 127.0.0.1:2", "lb_retries 3\nlb_try_interval 1ms", "profile downtries"),
			long("/downtime", "127.0.0.1:1 127.0.0.1:2", "lb_try_duration 100ms\nlb_try_interval 10ms", "profile downtime"),
			long("/nobody", "127.0.0.1:5", "lb_try_duration 100ms\nlb_try_interval 10ms\nfail_duration 1m", "profile nobody"))+
		providers()+watching())
	body := sample(t, "easypay")
	for path, want := range map[string]struct {
		status  int
		outcome string
	}{
		"/short":     {http.StatusOK, "ok"},
		"/long":      {http.StatusOK, "ok"},
		"/downtries": {http.StatusBadGateway, "upstream_unreachable"},
		"/downtime":  {http.StatusBadGateway, "upstream_unreachable"},
		// After the first failed dial reverse_proxy knows nobody to try: the
		// entry is written when the request ends.
		"/nobody": {http.StatusBadGateway, "upstream_unreachable"},
	} {
		res := s.post(path+"/ledger/mpos", body)
		require.Equal(t, want.status, res.status, path+res.body)
		profile := path[1:]
		var mine []entry
		s.Await("the entry of "+profile, func() bool {
			mine = slices.DeleteFunc(s.entries(), func(e entry) bool { return e["profile"] != profile })
			return len(mine) > 0
		})
		assert.Len(t, mine, 1, path)
		assert.Equal(t, want.outcome, mine[0]["outcome"], path)
		assert.Equal(t, 1, s.count("caddy_countersign_exchanges_total", "profile", profile, "outcome", want.outcome), path)

		var ids []string
		for _, line := range s.access("app", path+"/") {
			ids = append(ids, line.ID)
		}
		assert.Equal(t, []string{mine[0]["id"].(string)}, ids, path)
	}
}

// An exchange whose client went away is logged with what became of it.
func TestAuditHoldsTheVerdictAfterTheClientWentAway(t *testing.T) {
	s := start(t, global(auditTo(auditFile))+app(short("/short", provider))+providers()+watching())
	body := string(sample(t, "easypay"))
	conn, err := net.Dial("unix", s.Path("app"))
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST /short/ledger/mpos?fault=slow&delay=300ms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	s.Await("the request is with the provider", func() bool { return s.get("provider", "/ledger/received").status == http.StatusOK })
	require.NoError(t, conn.Close())
	s.Await("the entry is written", func() bool { return len(s.entries()) > 0 })
	e := s.entries()[0]
	assert.Equal(t, "client_gone", e["outcome"])
	assert.Equal(t, "ok", e["verdict"])
	assert.EqualValues(t, http.StatusOK, e["upstream_status"])
	assert.Equal(t, 1, s.count("caddy_countersign_exchanges_total", "outcome", "client_gone"))
}

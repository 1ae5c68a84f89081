package inspector_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

func TestAnExchangeIsShownOnItsWay(t *testing.T) {
	d := start(t, "bodies")
	require.Equal(t, http.StatusOK, d.pay("").Status)
	list := d.records()
	require.Len(t, list, 1)
	assert.Equal(t, "ok", list[0]["outcome"])
	assert.Equal(t, "good", list[0]["state"])
	assert.Equal(t, "/ledger/mpos", list[0]["path"])
	assert.NotEmpty(t, list[0]["order"])
	assert.Positive(t, list[0]["seal_ms"])

	rec, _ := d.record(list[0]["id"])
	bodies := rec["bodies"].(map[string]any)
	request := marksOf(bodies["request"])
	assert.Equal(t, []any{"signature"}, request["sign"]["marks"])
	assert.Equal(t, []any{"encrypted"}, request["bizData.orderSubDetails"]["marks"])
	assert.Contains(t, request["bizData.orderSubDetails"]["before"], "transAmt")
	assert.NotContains(t, request["bizData.orderSubDetails"]["after"], "transAmt")
	assert.Equal(t, []any{"added"}, request["bizData.dgtlEnvlp"]["marks"])
	assert.Nil(t, request["orgId"]["marks"], "it goes out as it came")
	answer := marksOf(bodies["answer"])
	assert.Equal(t, []any{"signature"}, answer["sign"]["marks"])
	covered := 0
	for path, row := range answer {
		if strings.HasPrefix(path, "bizData.") {
			assert.Equal(t, true, row["covered"], path)
			covered++
		} else {
			assert.Equal(t, false, row["covered"], path)
		}
	}
	assert.Positive(t, covered)
	sealed := bodies["sealed"].([]any)[0].(map[string]any)
	assert.Equal(t, "body.sign", sealed["where"])
	assert.Equal(t, rec["canonical_sha256"], sealed["sha256"], "the digest is that of the audit entry")
	assert.Contains(t, sealed["text"], "oriOrgTrace=")
	assert.NotEmpty(t, bodies["opened"])
	assert.NotNil(t, bodies["handed"])
}

func TestAFailureSaysWhyAndEachFaultCanBeSentAgain(t *testing.T) {
	d := start(t, "bodies")
	require.Equal(t, http.StatusBadGateway, d.pay("?fault=wrong_key").Status)
	first := d.records()[0]
	assert.Equal(t, "fault", first["state"])
	assert.Equal(t, "unverified", first["money"])
	rec, _ := d.record(first["id"])
	assert.Contains(t, rec["diagnosis"], "no key of this set has made the signature")
	bodies := rec["bodies"].(map[string]any)
	assert.NotNil(t, bodies["expected"], "our text is there to be compared")
	assert.Nil(t, bodies["handed"], "nothing unverified was handed back")
	require.Equal(t, true, bodies["can_send"])

	want := map[string]string{
		"": "ok", "bad_signature": "response_signature_invalid", "wrong_key": "response_signature_invalid", "tampered": "response_signature_invalid",
		"unsigned": "response_unsigned", "mismatch": "response_mismatch", "truncated": "upstream_failed", "reset": "upstream_failed",
		"slow": "upstream_timeout", "http_500": "ok", "not_json": "response_invalid",
	}
	for _, fault := range bodies["faults"].([]any) {
		require.Contains(t, want, fault)
	}
	for fault, outcome := range want {
		answer := d.ask("/workbench/send", map[string]any{"id": first["id"], "text": string(sample(t, "easypay")), "fault": fault})
		require.Equal(t, http.StatusOK, answer.Status, "%s: %s", fault, answer.Body)
		made, _ := d.record(answer.JSON(t)["id"])
		assert.Equal(t, outcome, made["outcome"], fault)
		assert.Equal(t, true, made["rehearse"])
	}
	for _, refused := range []map[string]any{{"id": first["id"], "text": "{", "fault": ""}, {"id": first["id"], "text": "{}", "fault": "else"}, {"id": "none", "text": "{}"}} {
		assert.Equal(t, http.StatusUnprocessableEntity, d.ask("/workbench/send", refused).Status)
	}
}

// Whatever the upstream is, a request is sent again to the sandbox and to nothing
// else.
func TestNothingIsSentAgainToTheProvider(t *testing.T) {
	d := &desk{t: t, sidecar: testcaddy.FreeAddress(t), page: testcaddy.FreeAddress(t), upstream: testcaddy.FreeAddress(t)} // where nobody listens
	d.run("bodies")
	require.Equal(t, http.StatusBadGateway, d.pay("").Status)
	id := d.records()[0]["id"]
	answer := d.ask("/workbench/send", map[string]any{"id": id, "text": string(sample(t, "easypay"))})
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	made, _ := d.record(answer.JSON(t)["id"])
	assert.Equal(t, "ok", made["outcome"], "the sandbox has answered")
}

func TestNotificationsAreShown(t *testing.T) {
	d := start(t, "bodies")
	require.Equal(t, http.StatusOK, testcaddy.Post(t, "http://"+d.sidecar+"/jeepay/api/division/exec", sample(t, "jeepay-exec")).Status)
	notification := func() map[string]any {
		for _, r := range d.records() {
			if r["kind"] == "notification" {
				return r
			}
		}
		return nil
	}
	forged := func() *testcaddy.Answer {
		return testcaddy.Post(t, "http://"+d.sidecar+"/notify/jeepay", []byte("mchNo=M1623997351&sign=0123456789ABCDEF0123456789ABCDEF"), testcaddy.Header("Content-Type", "application/x-www-form-urlencoded"))
	}
	if assert.Eventually(t, func() bool { return notification() != nil }, 20*time.Second, 20*time.Millisecond) {
		rec, _ := d.record(notification()["id"])
		assert.Equal(t, "ok", rec["outcome"])
		assert.NotEmpty(t, rec["bodies"].(map[string]any)["answer"])
	}
	require.Equal(t, http.StatusUnauthorized, forged().Status)
	rec, _ := d.record(notification()["id"])
	assert.Equal(t, "notification_signature_invalid", rec["outcome"])
	assert.NotEmpty(t, rec["diagnosis"])
}

// Without bodies there is no value of a message anywhere.
func TestWithoutBodiesThereIsNoValue(t *testing.T) {
	d := start(t, "keep 20")
	d.pay("")
	d.pay("?fault=tampered")
	testcaddy.Post(t, "http://"+d.sidecar+"/jeepay/api/division/exec", sample(t, "jeepay-exec"))
	list := d.records()
	require.GreaterOrEqual(t, len(list), 3)
	all := string(d.get("/records").Body)
	for _, r := range list {
		rec, text := d.record(r["id"])
		assert.Nil(t, rec["bodies"])
		assert.NotContains(t, r, "order")
		all += text
	}
	all = regexp.MustCompile(`"(seal|upstream|open)_ms":[0-9.]+`).ReplaceAllString(all, "") // a time may look like an amount
	for _, value := range []string{"transAmt", "北京烤鸭", "20190909", "1.00"} {
		assert.NotContains(t, all, value)
	}
	answer := d.ask("/workbench/send", map[string]any{"id": list[0]["id"], "text": "{}"})
	assert.Equal(t, http.StatusUnprocessableEntity, answer.Status)
	answer = d.ask("/workbench/explain", map[string]any{"route": d.route("exchange", "easypay"), "as": "request", "text": string(sample(t, "easypay"))})
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	assert.Nil(t, answer.JSON(t)["rows"])
}

// No key and no secret is in anything that the page can get.
func TestKeysAndSecretsAreNeverShown(t *testing.T) {
	d := start(t, "bodies")
	secret, err := os.ReadFile(filepath.Join(testcaddy.DevKeys("merchant"), "jeepay", "M1623997351", "secret"))
	require.NoError(t, err)
	key := strings.TrimSpace(string(secret))
	body := string(sample(t, "jeepay-exec"))
	posted := strings.Replace(body, "{", `{"remark":"`+key+`",`, 1) // an application may post it by mistake
	testcaddy.Post(t, "http://"+d.sidecar+"/jeepay/api/division/exec", []byte(posted))
	d.pay("")
	d.pay("?fault=bad_signature")
	all := string(d.get("/records").Body)
	for _, r := range d.records() {
		_, text := d.record(r["id"])
		all += text
	}
	assert.Contains(t, all, "{secret}")
	var routes struct{ Routes []map[string]any }
	require.NoError(t, json.Unmarshal(d.get("/records").Body, &routes))
	for _, r := range routes.Routes {
		for _, as := range []string{"request", "answer", "notification"} {
			question := map[string]any{"route": r["index"], "as": as, "text": body, "canonical": "a=1", "messages": []string{body}}
			for _, tool := range []string{"explain", "diff"} {
				all += string(d.ask("/workbench/"+tool, question).Body)
			}
		}
	}
	assert.NotContains(t, all, key)
	assert.Contains(t, all, "key={secret}", "the canonical string shows where it stands")
	for _, name := range []string{"easypay/ORG000000000007/sign.pem", "jeepay/M1623997351/sign.pem"} {
		text, err := os.ReadFile(filepath.Join(testcaddy.DevKeys("merchant"), name))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); len(line) > 40 {
				assert.NotContains(t, all, line)
			}
		}
	}
}

func TestLiveUpdateAndReload(t *testing.T) {
	d := start(t, "bodies")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.page+"/events", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(r) //nolint:bodyclose // it is closed when the test ends
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	assert.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	await := func(what string, come func(line string, open bool) bool) {
		t.Helper()
		for deadline := time.After(60 * time.Second); ; {
			select {
			case line, open := <-lines:
				if come(line, open) {
					return
				}
				require.True(t, open, what)
			case <-deadline:
				t.Fatal("not in time: " + what)
			}
		}
	}
	d.pay("?fault=unsigned")
	await("the record", func(line string, _ bool) bool { return strings.Contains(line, `"outcome":"response_unsigned"`) })

	// Whoever watches does not hold up a reload, and the records survive it.
	reloaded := make(chan error, 1)
	go func() {
		reloaded <- d.caddy.Reload(strings.Replace(d.caddyfile("bodies"), "respond success", "respond \"success\" 200", 1))
	}()
	select {
	case err := <-reloaded:
		require.NoError(t, err)
	case <-time.After(60 * time.Second):
		t.Fatal("the reload waits for the page")
	}
	await("the end of the old page", func(_ string, open bool) bool { return !open })
	assert.Len(t, d.records(), 1)
}

func TestTheWorkbench(t *testing.T) {
	d := start(t, "bodies")
	d.pay("")
	rec, _ := d.record(d.records()[0]["id"])
	bodies := rec["bodies"].(map[string]any)
	sent := bodies["sent"].(map[string]any)["text"].(string)
	canonical := bodies["sealed"].([]any)[0].(map[string]any)["raw"].(string)

	easypay := d.route("exchange", "easypay")
	same := d.ask("/workbench/diff", map[string]any{"route": easypay, "as": "request", "text": sent, "canonical": canonical}).JSON(t)
	assert.Equal(t, true, same["equal"])
	differs := d.ask("/workbench/diff", map[string]any{"route": easypay, "as": "request", "text": sent, "canonical": canonical + "\n"}).JSON(t)
	assert.Equal(t, false, differs["equal"])
	assert.Equal(t, "trailing newline", differs["cause"])
	assert.Equal(t, "⟨LF⟩", differs["right"])

	explained := d.ask("/workbench/explain", map[string]any{"route": easypay, "as": "answer", "text": bodies["received"].(map[string]any)["text"]})
	assert.Equal(t, true, explained.JSON(t)["good"], "%s", explained.Body)
	forged := strings.Replace(bodies["received"].(map[string]any)["text"].(string), `"sign":"`, `"sign":"AAAA`, 1)
	explained = d.ask("/workbench/explain", map[string]any{"route": easypay, "as": "answer", "text": forged})
	assert.Equal(t, false, explained.JSON(t)["good"], "%s", explained.Body)
	assert.NotEmpty(t, explained.JSON(t)["sentence"])

	guessed := d.ask("/workbench/guess", map[string]any{"route": d.route("notification", "jeepay"), "as": "notification", "messages": []string{"nothing=here&sign=00112233445566778899AABBCCDDEEFF"}})
	require.Equal(t, http.StatusOK, guessed.Status, "%s", guessed.Body)
	assert.Nil(t, guessed.JSON(t)["recipe"])
	assert.Positive(t, guessed.JSON(t)["tried"])

	for _, bad := range []map[string]any{{"route": 99, "as": "request"}, {"route": -1, "as": "request"}, {"route": easypay, "as": "else"}, {"route": easypay, "as": "answer", "text": "<html>"}} {
		assert.Equal(t, http.StatusUnprocessableEntity, d.ask("/workbench/explain", bad).Status, "%v", bad)
	}
	require.Equal(t, http.StatusOK, d.ask("/clear", map[string]any{}).Status)
	assert.Empty(t, d.records())
}

func TestOtherPathsGoOn(t *testing.T) {
	d := start(t, "")
	answer := d.get("/elsewhere")
	assert.Equal(t, http.StatusNotFound, answer.Status)
	assert.Contains(t, string(answer.Body), "unknown_route")
	assert.Equal(t, http.StatusNotFound, d.get("/page/index.html").Status)
	assert.Equal(t, http.StatusNotFound, d.get("/page/../page.go").Status)
	assert.Equal(t, http.StatusNotFound, d.get("/records/none").Status)
	first := d.get("/page/app.js")
	assert.Equal(t, http.StatusNotModified, d.get("/page/app.js", testcaddy.Header("If-None-Match", first.Header.Get("ETag"))).Status)
}

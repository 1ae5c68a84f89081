package notify_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module/inspector"
	"github.com/countersign/caddy-countersign/module/network/networktest"
	_ "github.com/countersign/caddy-countersign/module/proxy"
)

// quickstart runs the quickstart that ships, on free ports and with changes.
// It returns the sidecar's and the metrics' address.
func quickstart(t *testing.T, changes ...string) (sidecar, metrics, log string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	text := readFile(t, filepath.Join(root, "caddyfiles", "quickstart.Caddyfile"))
	for _, port := range []string{"8080", "9090", "8081"} { // of this test, not of every address
		text = strings.Replace(text, "\n:"+port+" {", "\nhttp://127.0.0.1:"+port+" {", 1)
	}
	sidecar, metrics = networktest.Address(t), networktest.Address(t)
	log = filepath.Join(t.TempDir(), "log.json")
	for i := 0; i < len(changes); i += 2 {
		require.Contains(t, text, changes[i])
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	text = strings.NewReplacer(
		"127.0.0.1:8080", sidecar, "127.0.0.1:9090", networktest.Address(t), "127.0.0.1:8081", metrics,
		" keys-dev/", " "+root+"/keys-dev/", "\tadmin off\n", "\tadmin off\n\tlog {\n\t\toutput file "+log+"\n\t}\n").Replace(text)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "quickstart.Caddyfile"})
	require.NoError(t, err)
	require.NoError(t, caddy.Load(adapted, true))
	t.Cleanup(func() { assert.NoError(t, caddy.Stop()) })
	return sidecar, metrics, log
}

// samples are the requests that the providers answer with a notification.
var samples = map[string]string{
	"easypay": "/easypay/ledger/mpos", "hbsk": "/hbsk/share/apply", "hkrt": "/hkrt/api/v1/delay-ledger/ledger",
	"hongwen": "/hongwen/gateway.do", "jeepay-exec": "/jeepay/api/division/exec",
}

// send posts the sample of a provider to the sidecar.
func send(t *testing.T, sidecar, sample string) {
	t.Helper()
	text := readFile(t, "../../caddyfiles/samples/"+sample+".json")
	res, err := provider.Post("http://"+sidecar+samples[sample], "application/json", strings.NewReader(text))
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode, sample)
	require.Equal(t, "true", res.Header.Get("Countersign-Verified"), sample)
}

// lines returns the entries of a log with a message.
func lines(t *testing.T, log, message string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(readFile(t, log)) {
		e := make(map[string]any)
		if json.Unmarshal([]byte(line), &e) == nil && e["msg"] == message {
			out = append(out, e)
		}
	}
	return out
}

// The quickstart shows the whole circle: a request goes out, the provider's
// notification comes in, the application acknowledges it, and that is that.
func TestTheQuickstartsCircle(t *testing.T) {
	sidecar, metrics, log := quickstart(t)
	before := counts(t, metrics)
	for sample := range samples {
		send(t, sidecar, sample)
	}
	require.Eventually(t, func() bool { return len(lines(t, log, "notification sent")) >= len(samples) }, 10*time.Second, 20*time.Millisecond)
	time.Sleep(700 * time.Millisecond) // the second try would come now
	tries := lines(t, log, "notification sent")
	require.Len(t, tries, len(samples), "each is acknowledged at once")
	for _, e := range tries {
		assert.Equal(t, true, e["acknowledged"])
		assert.EqualValues(t, 1, e["try"])
	}
	seen := make(map[any]bool)
	for _, e := range lines(t, log, "notification") {
		assert.Equal(t, "ok", e["outcome"])
		assert.NotContains(t, e, "verdict")
		seen[e["scheme"]] = true
	}
	assert.Len(t, seen, 5)

	after := counts(t, metrics)
	for name := range seen {
		assert.InDelta(t, before[name.(string)]+1, after[name.(string)], 0, name)
	}
}

// counts returns the notifications with the outcome ok, by profile, that the
// metrics tell of.
func counts(t *testing.T, metrics string) map[string]float64 {
	t.Helper()
	g := (&running{url: "http://" + metrics}).post(t, sent{method: http.MethodGet, target: "/metrics"})
	out := make(map[string]float64)
	for name := range strings.SplitSeq("easypay jeepay hkrt hongwen hbsk", " ") {
		_, rest, found := strings.Cut(g.body, fmt.Sprintf(`caddy_countersign_notifications_total{outcome="ok",profile=%q,scheme=%q} `, name, name))
		require.True(t, found, name)
		value, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err)
		out[name] = n
	}
	return out
}

// The provider sends until the application acknowledges.
func TestTheProviderSendsUntilAcknowledged(t *testing.T) {
	var mu sync.Mutex
	tries := make(map[string]int)
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		tries[r.URL.Path]++
		try := tries[r.URL.Path]
		mu.Unlock()
		if try < 3 {
			status(http.StatusInternalServerError, "")(w, r)
			return
		}
		says("success")(w, r)
	})
	sidecar, _, log := quickstart(t, "\t\trespond \"ok\"\n", app.proxy(), "\t\trespond \"success\"\n", app.proxy())
	for sample := range samples {
		send(t, sidecar, sample)
	}
	require.Eventually(t, func() bool { return len(lines(t, log, "notification sent")) == 3*len(samples) }, 10*time.Second, 20*time.Millisecond)
	acknowledged := 0
	for _, e := range lines(t, log, "notification sent") {
		assert.Equal(t, e["try"] == 3.0, e["acknowledged"])
		if e["acknowledged"] == true {
			acknowledged++
		}
	}
	assert.Equal(t, len(samples), acknowledged)
	for _, call := range app.calls() {
		assert.Equal(t, "true", call.header.Get("Countersign-Verified"))
	}
}

// What easypay encrypts comes in an envelope for the merchant, and reaches the
// application in plain; every other byte is as it came.
func TestEncryptedMembers(t *testing.T) {
	tap := newApplication(t, says("ok"))
	app := newApplication(t, says("ok"))
	sidecar, _, log := quickstart(t,
		"notify http://127.0.0.1:8080/notify/easypay", "notify "+tap.URL, "\t\trespond \"ok\"\n", app.proxy())
	text := readFile(t, "../../caddyfiles/samples/easypay.json")
	res, err := provider.Post("http://"+sidecar+samples["easypay"]+"?envelope=own", "application/json", strings.NewReader(text))
	require.NoError(t, err)
	res.Body.Close()
	require.Eventually(t, func() bool { return len(lines(t, log, "notification sent")) == 1 }, 10*time.Second, 20*time.Millisecond)
	sealed := tap.calls()[0]
	before, rest, found := strings.Cut(sealed.body, `"orderSubDetails":"`)
	require.True(t, found, "it is encrypted")
	_, after, _ := strings.Cut(rest, `"`)

	c := &running{url: "http://" + sidecar}
	g := c.post(t, sent{target: "/notify/easypay", contentType: sealed.header.Get("Content-Type"), body: sealed.body})
	require.Equal(t, http.StatusOK, g.status, g.body)
	calls := app.calls()
	require.Len(t, calls, 1)
	assert.True(t, strings.HasPrefix(calls[0].body, before+`"orderSubDetails":[{"orgMercode":"831135358120002",`), calls[0].body)
	assert.True(t, strings.HasSuffix(calls[0].body, "}]"+after), calls[0].body)
	assert.Equal(t, int64(len(calls[0].body)), calls[0].length)
	assert.Equal(t, strconv.Itoa(len(calls[0].body)), calls[0].header.Get("Content-Length"))

	// It does not open, although the provider has signed it: one error for
	// every cause.
	s := sides[0]
	details := make(map[string]bool)
	for _, members := range [][]member{
		with(with(s.members, "dgtlEnvlp", "AAAA"), "orderSubDetails", "AAAAAAAAAAAAAAAAAAAAAA=="),
		with(s.members, "orderSubDetails", "AAAAAAAAAAAAAAAAAAAAAA=="),
		with(s.members, "orderSubDetails", "no Base64"),
	} {
		note := s.sign(t, members)
		note.target = "/notify/easypay"
		g := c.post(t, note)
		assert.Equal(t, "notification_invalid", g.code(t))
		var p struct{ Detail string }
		require.NoError(t, json.Unmarshal([]byte(g.body), &p))
		details[p.Detail] = true
	}
	assert.Len(t, details, 1)
	assert.Empty(t, app.calls())
}

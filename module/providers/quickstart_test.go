package providers_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/providers/providertest"

	_ "github.com/countersign/caddy-countersign/module"
)

// quickstart runs caddyfiles/quickstart.Caddyfile on free ports. It returns the
// addresses of the sidecar and of the providers.
func quickstart(t *testing.T) (sidecar, providers string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testcaddy.Root(), "caddyfiles", "quickstart.Caddyfile"))
	require.NoError(t, err)
	sidecar, providers = testcaddy.FreeAddress(t), testcaddy.FreeAddress(t)
	testcaddy.Run(t, strings.NewReplacer(
		"127.0.0.1:8080", sidecar, "127.0.0.1:9090", providers, "127.0.0.1:8081", testcaddy.FreeAddress(t),
		"\n:8080 {", "\nhttp://"+sidecar+" {", "\n:9090 {", "\nhttp://"+providers+" {", "\n:8081 {", "\nhttp://"+testcaddy.FreeAddress(t)+" {",
		"keys-dev/merchant", testcaddy.DevKeys("merchant"), "keys-dev/provider", testcaddy.DevKeys("provider"),
	).Replace(string(text)))
	return "http://" + sidecar, "http://" + providers
}

// calls are all calls that the providers' pages document, each with the page's
// sample in plain.
var calls = []struct {
	route, path, sample string
	signed              string   // what Countersign-Signed says
	adds                []string // to the sample
}{
	{"easypay", "/ledger/mpos", "easypay", "bizData", []string{"sign", "signType"}},
	{"jeepay", "/api/division/receiver/bind", "jeepay-bind", "data", []string{"version", "reqTime", "signType", "sign"}},
	{"jeepay", "/api/division/exec", "jeepay-exec", "data", []string{"version", "reqTime", "signType", "sign"}},
	{"jeepay", "/api/division/receiver/channelBalanceQuery", "jeepay-balance", "data", []string{"mchNo", "version", "reqTime", "signType", "sign"}},
	{"jeepay", "/api/division/receiver/channelBalanceCashout", "jeepay-cashout", "data", []string{"mchNo", "version", "reqTime", "signType", "sign"}},
	{"jeepay-rsa2", "/api/division/receiver/bind", "jeepay-bind", "data", []string{"version", "reqTime", "signType", "sign"}},
	{"jeepay-rsa2", "/api/division/exec", "jeepay-exec", "data", []string{"version", "reqTime", "signType", "sign"}},
	{"jeepay-rsa2", "/api/division/receiver/channelBalanceQuery", "jeepay-balance", "data", []string{"mchNo", "version", "reqTime", "signType", "sign"}},
	{"jeepay-rsa2", "/api/division/receiver/channelBalanceCashout", "jeepay-cashout", "data", []string{"mchNo", "version", "reqTime", "signType", "sign"}},
	{"hkrt", "/api/v1/delay-ledger/ledger", "hkrt", "*", []string{"accessid", "sign"}},
	{"hongwen", "/gateway.do", "hongwen", "*", []string{"mch_no", "method", "charset", "version", "timestamp", "sign_type", "sign"}},
	{"hbsk", "/share/apply", "hbsk", "data", []string{"key", "time", "sign"}},
}

func TestQuickstart(t *testing.T) {
	sidecar, providers := quickstart(t)

	for _, c := range calls {
		t.Run(c.route+c.path, func(t *testing.T) {
			sample := providertest.Sample(t, c.sample+".json")
			url := sidecar + "/" + c.route + c.path
			answer := testcaddy.Post(t, url, []byte(sample))
			require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
			assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"))
			assert.Equal(t, c.signed, answer.Header.Get("Countersign-Signed"))

			received := receivedBy(t, providers+c.path)
			assert.Contains(t, received.Provider, "verified")
			plain, sent := providertest.Parse(t, sample), providertest.Parse(t, received.Body)
			require.Len(t, sent.Members(), len(plain.Members())+len(c.adds))
			for _, m := range sent.Members()[len(plain.Members()):] {
				assert.Contains(t, c.adds, string(m.Name()))
			}
			for i, m := range plain.Members() {
				if m.IsScalar() {
					assert.Equal(t, string(m.Raw()), string(sent.Members()[i].Raw()))
				}
			}

			for fault, want := range map[string]string{
				"bad_signature": "response_signature_invalid", "wrong_key": "response_signature_invalid", "tampered": "response_signature_invalid",
				"unsigned": "response_unsigned", "mismatch": "response_mismatch", "not_json": "response_invalid",
			} {
				if fault == "mismatch" && c.sample == "jeepay-bind" {
					continue // nothing in the page's answer ties it to its request
				}
				refused := testcaddy.Post(t, url+"?fault="+fault, []byte(sample))
				assert.Equal(t, http.StatusBadGateway, refused.Status, fault)
				assert.Equal(t, want, refused.JSON(t)["reason"], fault)
				assert.Equal(t, "unverified", refused.Header.Get("Countersign-Outcome"), fault)
				assert.Empty(t, refused.Header.Get("Countersign-Verified"), fault)
			}
			failed := testcaddy.Post(t, url+"?fault=http_500", []byte(sample))
			assert.Equal(t, http.StatusInternalServerError, failed.Status, "an answer of every status is verified, and passes")
			assert.Equal(t, "true", failed.Header.Get("Countersign-Verified"))
		})
	}

	t.Run("plain in, plain out", func(t *testing.T) { plainInPlainOut(t, sidecar) })
	t.Run("refused by the provider", func(t *testing.T) {
		// The provider answers in its own words, and they pass where they are
		// signed, or where its rule lets them be unsigned.
		answer := testcaddy.Post(t, sidecar+"/jeepay/api/division/exec", []byte(`{"useSysAutoDivisionReceivers":0}`))
		assert.NotEqual(t, float64(0), answer.JSON(t)["reason"], "%s", answer.Body)
		assert.Equal(t, "false", answer.Header.Get("Countersign-Verified"), "%s", answer.Body)
		answer = testcaddy.Post(t, sidecar+"/hkrt/api/v1/delay-ledger/ledger", []byte(`{"apply_no":true}`))
		assert.Equal(t, http.StatusUnprocessableEntity, answer.Status)
		assert.Equal(t, "not_sent", answer.Header.Get("Countersign-Outcome"))
	})
}

// received is what a sandbox shows of the last request.
type received struct{ Body, Provider string }

func receivedBy(t *testing.T, url string) (out received) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/received", nil)
	require.NoError(t, err)
	answer, err := testcaddy.Do(r)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(answer.Body, &out))
	return out
}

// plainInPlainOut posts the same request twice: once with a member as JSON, and
// once as the string that the provider's page has.
func plainInPlainOut(t *testing.T, sidecar string) {
	t.Helper()
	for _, c := range []struct {
		path, asJSON, asString string
		member                 func(answer map[string]any) any
	}{
		{"/easypay/ledger/mpos", providertest.Sample(t, "easypay.json"), quoted(t, providertest.Sample(t, "easypay.json"), "bizData", "orderSubDetails"), func(a map[string]any) any {
			return a["bizData"].(map[string]any)["orderSubDetails"]
		}},
		{"/hbsk/share/apply", providertest.Sample(t, "hbsk.json"), quoted(t, providertest.Sample(t, "hbsk.json"), "data"), func(a map[string]any) any { return a["data"] }},
	} {
		answer := testcaddy.Post(t, sidecar+c.path, []byte(c.asJSON)).JSON(t)
		switch c.member(answer).(type) {
		case map[string]any, []any:
		default:
			assert.Fail(t, "no JSON came back", "%s: %v", c.path, answer)
		}
		answer = testcaddy.Post(t, sidecar+c.path, []byte(c.asString)).JSON(t)
		text, ok := c.member(answer).(string)
		require.True(t, ok, "%s: %v", c.path, answer)
		assert.True(t, json.Valid([]byte(text)), c.path)
	}
	// hongwen and jeepay take both, and their sandboxes see the same.
	for path, requests := range map[string][]string{
		"/hongwen/gateway.do":       {providertest.Sample(t, "hongwen.json"), quoted(t, providertest.Sample(t, "hongwen.json"), "biz_content", "divide_back_detail")},
		"/jeepay/api/division/exec": {providertest.Sample(t, "jeepay-exec.json"), quoted(t, providertest.Sample(t, "jeepay-exec.json"), "receivers")},
	} {
		for _, request := range requests {
			answer := testcaddy.Post(t, sidecar+path, []byte(request))
			assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"), "%s: %s", path, answer.Body)
		}
	}
}

// quoted makes a string of the member that a path leads to.
func quoted(t *testing.T, text string, path ...string) string {
	t.Helper()
	o := providertest.Parse(t, text)
	part := o
	for _, name := range path[:len(path)-1] {
		part, _ = part.Object(name)
	}
	m, ok := part.Get(path[len(path)-1])
	require.True(t, ok)
	raw, err := json.Marshal(string(m.Raw()))
	require.NoError(t, err)
	return strings.Replace(text, string(m.Raw()), string(raw), 1)
}

func TestEveryCaddyfileThatShips(t *testing.T) {
	testcaddy.Examples(t)
	files, err := filepath.Glob(filepath.Join(testcaddy.Root(), "caddyfiles", "*.Caddyfile"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 6)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Regexp(t, `(?m)^\tadmin (off|unix/.*\|0600)$`, string(text), "whoever reaches the admin endpoint can have the key files served: %s", file)
		assert.Regexp(t, `(?m)^\tpersist_config off$`, string(text), file)
		assert.NoError(t, testcaddy.Validate(string(text)), file)
	}
	for _, name := range []string{"easypay", "jeepay", "hkrt", "hongwen", "hbsk"} {
		assert.FileExists(t, filepath.Join(testcaddy.Root(), "caddyfiles", name+".Caddyfile"))
	}
}

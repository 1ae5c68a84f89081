package observe_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/problem"
)

// leakTest looks for secrets in everything that anybody but the application
// and the provider could see.
type leakTest struct {
	*sidecar
	hoard *hoard
	raw   *rawProvider
	otlp  *otlp

	mu    sync.Mutex
	found []string // where, what
}

// look searches a text.
func (l *leakTest) look(where, text string) {
	if what := l.hoard.secrets.in([]byte(text)); len(what) > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		slices.Sort(what)
		l.found = append(l.found, fmt.Sprintf("%s holds %v: %s", where, what, text[:min(len(text), 1500)]))
	}
}

// send posts and searches the answer: all of a failure, and the header of what
// is for the application.
func (l *leakTest) send(path string, body []byte, headers ...string) answer {
	res := l.post(path, body, append([]string{"traceparent", parent(strings.Repeat("a", 32), "01")}, headers...)...)
	l.look("header of "+path, fmt.Sprint(res.header))
	if res.header.Get("Countersign-Verified") == "" && !(strings.HasPrefix(path, "/notify") && res.status == http.StatusOK) {
		l.look("answer to "+path, fmt.Sprint(res.status, res.body))
	}
	return res
}

// paths are the documented paths of the samples.
var paths = map[string]string{
	"easypay": "/ledger/mpos", "jeepay": "/api/division/receiver/bind", "hkrt": "/api/v1/delay-ledger/ledger",
	"hongwen": "/gateway.do", "hbsk": "/share/apply",
}

func TestNothingSecretLeaks(t *testing.T) {
	t.Parallel()
	hoard := newHoard(t)
	raw := newRawProvider(t, hoard)
	collector := collect(t)
	l := &leakTest{
		sidecar: start(t, leakSites(raw, hoard), append(collector.environment(), "REDIS_PASSWORD="+password, "CANARY="+vaultToken+"/../{x")...),
		hoard:   hoard, raw: raw, otlp: collector,
	}
	var slow sync.WaitGroup
	slow.Go(l.brokenKeys)
	refused, end := l.together()
	l.everyScheme()
	l.rawAnswers()
	l.requests()
	l.notifications()
	for range 2 {
		assert.Equal(t, http.StatusServiceUnavailable, <-refused)
	}
	end()
	slow.Wait()
	l.caddyfiles()
	l.admin()

	assert.Eventually(t, func() bool { return len(l.unseen()) == 0 }, 5*time.Second, 50*time.Millisecond)
	assert.Empty(t, l.unseen(), "every code has been there")
	l.look("metrics", l.get("watching", "/metrics").body)
	l.inspector()
	l.Stop()
	collector.mu.Lock()
	assert.Greater(t, len(collector.spans), 100)
	l.look("traces", string(collector.raw))
	collector.mu.Unlock()
	l.files()
	slices.Sort(l.found)
	for _, found := range l.found {
		assert.Fail(t, "a secret leaks", found)
	}
}

// everyScheme has every scheme succeed and fail in every way that its sandbox
// knows, in the short form and in the long one.
func (l *leakTest) everyScheme() {
	for scheme, path := range paths {
		name := scheme
		if scheme == "jeepay" {
			name = "jeepay-bind"
		}
		body := withSecrets(l.T, name)
		for _, route := range []string{"/" + scheme, "/long-" + scheme} {
			res := l.send(route+path, body)
			require.Equal(l.T, http.StatusOK, res.status, "%s: %s", route, res.body)
			for _, fault := range []string{"bad_signature", "wrong_key", "tampered", "unsigned", "mismatch", "truncated", "reset", "slow&delay=5ms", "http_500", "not_json"} {
				l.send(route+path+"?fault="+fault, body)
			}
		}
		// What the sandbox shows is plain text, and proves that the search works.
		received := l.get("provider", path+"/received").body
		assert.NotEmpty(l.T, l.hoard.secrets.in([]byte(received)), scheme)
		l.signatures(received)
	}
	l.send("/jeepay-rsa2"+paths["jeepay"], withSecrets(l.T, "jeepay-bind"))
	l.signatures(l.get("provider", paths["jeepay"]+"/received").body)
}

// signatures adds what the provider got and nobody else may see: the signature
// and the envelope.
func (l *leakTest) signatures(received string) {
	var last struct{ Body string }
	require.NoError(l.T, json.Unmarshal([]byte(received), &last))
	var body struct {
		Sign    string
		BizData struct{ DgtlEnvlp, OrderSubDetails string }
	}
	require.NoError(l.T, json.Unmarshal([]byte(last.Body), &body))
	require.NotEmpty(l.T, body.Sign, received)
	for what, text := range map[string]string{"signature": body.Sign, "envelope": body.BizData.DgtlEnvlp, "ciphertext": body.BizData.OrderSubDetails} {
		if text != "" {
			l.hoard.secrets.mu.Lock()
			l.hoard.secrets.forms[fmt.Sprint(what, len(l.hoard.secrets.forms))] = []byte(text[:min(len(text), 40)])
			l.hoard.secrets.mu.Unlock()
		}
	}
}

// rawAnswers has a provider answer what is almost HTTP.
func (l *leakTest) rawAnswers() {
	body := withSecrets(l.T, "easypay")
	for name := range l.raw.answers {
		if name == "hold" {
			continue
		}
		for _, route := range []string{"/raw/", "/long-raw/", "/pass/"} {
			res := l.send(route+name, body, "X-Shop", "1")
			if route == "/raw/" && name != "genuine" {
				assert.GreaterOrEqual(l.T, res.status, 500, name)
			}
		}
	}
	for _, route := range []string{"/tls/x", "/badcert/x", "/h2/x", "/viaproxy/x", "/down/x", "/hurried/hold"} {
		assert.GreaterOrEqual(l.T, l.send(route, body).status, 500, route)
	}
}

// requests are requests that are refused.
func (l *leakTest) requests() {
	body := withSecrets(l.T, "easypay")
	for i, bad := range []string{
		everything, `"` + everything + `"`, `["` + everything + `"]`, `{"` + cardNumber + `":1,"` + cardNumber + `":2}`,
		`{"card":"` + everything, `{"card":` + cardNumber + `x}`, "{\"card\":\"" + everything + "\xff\"}", "\ufeff" + string(body),
		strings.Repeat("[", 200) + everything, `{"bizData":"` + everything + `"}`, `{"bizData":{"card":{"number":"` + everything + `"}}}`,
		`{"bizData":["` + everything + `"]}`, `{"bizData":{"card":["` + everything + `"]}}`,
	} {
		for _, scheme := range []string{"easypay", "jeepay", "hkrt", "hbsk", "hongwen", "long-easypay"} {
			l.send(fmt.Sprintf("/%s/bad?%d", scheme, i), []byte(bad))
		}
	}
	l.send("/raw/large", []byte(`{"a":"`+strings.Repeat(everything, 1000)+`"}`))
	l.send("/raw/ok", body, "Origin", "https://evil.example")
	l.send("/raw/ok", body, "Content-Type", "text/plain")
	l.send("/raw/ok", body, "Content-Encoding", "gzip")
	l.send("/dynamic/x", body)
	l.send("/dynamic/x", []byte(`{"orgTermNo":"../../`+vaultToken+`","bizData":{}}`))
	req, err := http.NewRequest(http.MethodPut, "http://sidecar/raw/ok", strings.NewReader(string(body)))
	require.NoError(l.T, err)
	res := l.do("app", req)
	l.look("answer to PUT", fmt.Sprint(res))
	req, err = http.NewRequest(http.MethodPost, "http://sidecar/easypay/x", strings.NewReader("["+everything))
	require.NoError(l.T, err)
	req.Header.Set("Content-Type", "application/json")
	res = l.do("quiet", req)
	l.look("answer without handle_errors", fmt.Sprint(res))

	// A client that does not say all, and one that goes away.
	for _, missing := range []int{10, 0} {
		for delay := 50 * time.Millisecond; delay < 2*time.Second; delay *= 2 {
			conn, err := net.Dial("unix", l.Path("app"))
			require.NoError(l.T, err)
			_, err = fmt.Fprintf(conn, "POST /easypay/ledger/mpos?fault=slow&delay=%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", 2*delay, len(body)+missing, body)
			require.NoError(l.T, err)
			time.Sleep(delay) // until the request is with the provider
			conn.Close()
			if missing > 0 {
				break
			}
			time.Sleep(2 * delay)
			if !slices.Contains(l.unseen(), problem.ClientGone) {
				break
			}
		}
	}
}

// notifications are what providers and others send in.
func (l *leakTest) notifications() {
	key := l.hoard.dir + "/provider.pem"
	body := genuine(l.T, key, map[string]string{"oriOrgTrace": cardNumber, "name": payerName, "token": vaultToken})
	for _, scheme := range []string{"easypay", "jeepay", "hkrt", "hbsk", "hongwen"} {
		path := "/notify-" + scheme
		for i, bad := range []string{
			string(body), everything, `{"sign":"` + everything + `","bizData":{"card":"` + cardNumber + `"},"data":"` + everything + `"}`,
			`{"` + cardNumber + `":1,"` + cardNumber + `":2}`, "sign=" + cardNumber + "&name=" + payerName + "&name=" + latinName,
			"sign=" + cardNumber + "&card=" + cardNumber + "&reqTime=1", "%zz=" + cardNumber, strings.Repeat(everything, 300),
		} {
			l.send(fmt.Sprint(path, "?", i), []byte(bad))
			l.send(fmt.Sprint(path, "?", i), []byte(bad), "Content-Type", "application/x-www-form-urlencoded")
		}
	}
	assert.Equal(l.T, http.StatusForbidden, l.send("/notify-own", body).status)
	assert.Equal(l.T, http.StatusServiceUnavailable, l.send("/notify-store", body).status)
	assert.Equal(l.T, http.StatusGatewayTimeout, l.send("/notify-slow", body).status)
	stale := "reqTime=1622016572190&card=" + cardNumber + "&mchNo=M"
	l.send("/notify-window", []byte(stale+"&sign="+jeepayMD5("card="+cardNumber+"&mchNo=M&reqTime=1622016572190&")), "Content-Type", "application/x-www-form-urlencoded")
	for name := range l.raw.answers {
		if name != "hold" && name != "length-number" && !strings.HasPrefix(name, "keep") {
			// The application's answer passes as it comes, cut off or not.
			res, err := l.client("app").Post("http://sidecar/notify-app/"+name, "application/json", bytes.NewReader(body))
			if err == nil {
				if text, _ := io.ReadAll(res.Body); strings.Contains(string(text), "urn:countersign:problem") {
					l.look("answer to /notify-app/"+name, string(text))
				}
				res.Body.Close()
			}
		}
	}
}

// brokenKeys has requests need keys that are none.
func (l *leakTest) brokenKeys() {
	var wait sync.WaitGroup
	for _, name := range broken {
		wait.Go(func() {
			res := l.send("/broken-"+name+"/ledger/mpos", withSecrets(l.T, "easypay"))
			want := http.StatusServiceUnavailable
			if name == "trailing" || name == "empty-secret" {
				want = http.StatusOK // there is one reading of the first, and nobody needs the other
			}
			assert.Equal(l.T, want, res.status, "%s: %s", name, res.body)
		})
	}
	assert.Equal(l.T, http.StatusServiceUnavailable, l.send("/unsealable/ledger/mpos", withSecrets(l.T, "easypay")).status)
	// A Vault that answers what is almost HTTP, and what no Vault answers.
	body := string(withSecrets(l.T, "easypay"))
	for name := range l.raw.answers {
		if name != "hold" {
			wait.Go(func() {
				res := l.send("/vault-odd/ledger/mpos", []byte(strings.Replace(body, `"21120433"`, `"`+name+`"`, 1)))
				if name == "vault-data" {
					assert.Equal(l.T, http.StatusOK, res.status, "what a Vault answers: %s", res.body)
					return
				}
				assert.Contains(l.T, []int{http.StatusServiceUnavailable, http.StatusNotFound}, res.status, "%s: %s", name, res.body)
			})
		}
	}
	wait.Wait()
	assert.Equal(l.T, http.StatusOK, l.send("/vault/ledger/mpos", []byte(body)).status)
	refreshed := l.refresh()
	assert.Equal(l.T, http.StatusBadGateway, refreshed.status)
	l.look("failed refresh", refreshed.body)
}

// together are failures that need two at once: the second ones are refused while
// the first ones are held, until end is called.
func (l *leakTest) together() (refused <-chan int, end func()) {
	body := withSecrets(l.T, "easypay")
	repeated := genuine(l.T, l.hoard.dir+"/provider.pem", map[string]string{"oriOrgTrace": cardNumber, "again": payerName})
	var wait sync.WaitGroup
	seen := make(chan int, 4)
	for range 2 {
		wait.Go(func() { seen <- l.send("/single/hold", body).status })
		wait.Go(func() { seen <- l.send("/notify-once", repeated).status })
	}
	return seen, func() {
		close(l.raw.hold)
		wait.Wait()
	}
}

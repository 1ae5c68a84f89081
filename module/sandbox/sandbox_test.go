package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"

	_ "github.com/countersign/caddy-countersign/module/app"
	_ "github.com/countersign/caddy-countersign/module/keysource/file"
	_ "github.com/countersign/caddy-countersign/module/proxy"
	_ "github.com/countersign/caddy-countersign/module/sandbox"
)

// circle is a sidecar and a sandbox in one Caddy, as in the quickstart.
type circle struct {
	*testcaddy.Caddy
	sidecar, sandbox string
}

func start(t *testing.T, sandboxOptions string) *circle {
	t.Helper()
	sidecar, sandbox := testcaddy.FreeAddress(t), testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, fmt.Sprintf(`{
	countersign {
		keys file %s
		keys file %s {
			name provider
		}
	}
}
http://%s {
	bind 127.0.0.1
	handle_path /easypay/* {
		countersign easypay %s {
			keys easypay/ORG000000000007
			timeout 1s
		}
	}
}
http://%s {
	bind 127.0.0.1
	handle /ledger/* {
		countersign_sandbox easypay {
			keys provider easypay/{body.orgId}
			%s
		}
	}
}`, testcaddy.DevKeys("merchant"), testcaddy.DevKeys("provider"), sidecar, sandbox, sandbox, sandboxOptions))
	return &circle{c, "http://" + sidecar + "/easypay/ledger/mpos", "http://" + sandbox + "/ledger/mpos"}
}

func sample(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testcaddy.Root(), "caddyfiles", "samples", "easypay.json"))
	require.NoError(t, err)
	return text
}

// The quickstart's circle: plain JSON goes in, the sandbox decrypts and
// verifies it, and plain JSON comes back.
func TestCircle(t *testing.T) {
	c := start(t, "")
	answer := testcaddy.Post(t, c.sidecar, sample(t))
	require.Equal(t, 200, answer.Status, "%s", answer.Body)
	assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"))
	var got struct {
		SysRetCode string
		BizData    struct{ OrderSubDetails []map[string]string }
	}
	require.NoError(t, json.Unmarshal(answer.Body, &got))
	assert.Equal(t, "000000", got.SysRetCode)
	require.Len(t, got.BizData.OrderSubDetails, 2)
	assert.Equal(t, "北京烤鸭一只,送货上门", got.BizData.OrderSubDetails[0]["body"])
}

// Each fault, through the sidecar: what the application gets.
func TestFaults(t *testing.T) {
	c := start(t, "")
	for fault, want := range map[string]struct {
		code    string
		status  int
		outcome string
	}{
		"bad_signature":   {"response_signature_invalid", 502, "unverified"},
		"wrong_key":       {"response_signature_invalid", 502, "unverified"},
		"tampered":        {"response_signature_invalid", 502, "unverified"},
		"unsigned":        {"response_unsigned", 502, "unverified"},
		"mismatch":        {"response_mismatch", 502, "unverified"},
		"truncated":       {"upstream_failed", 502, "unknown"},
		"reset":           {"upstream_failed", 502, "unknown"},
		"slow":            {"upstream_timeout", 504, "unknown"},
		"http_500":        {"", 500, ""},
		"not_json":        {"response_invalid", 502, "unverified"},
		"slow&delay=10ms": {"", 200, ""},
	} {
		t.Run(fault, func(t *testing.T) {
			answer := testcaddy.Post(t, c.sidecar+"?fault="+fault, sample(t))
			require.Equal(t, want.status, answer.Status, "%s", answer.Body)
			assert.Equal(t, want.outcome, answer.Header.Get("Countersign-Outcome"))
			if want.code == "" {
				assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"))
				return
			}
			assert.Equal(t, want.code, answer.JSON(t)["reason"])
		})
	}
	t.Run("none that is known", func(t *testing.T) {
		answer := testcaddy.Post(t, c.sidecar+"?fault=lightning", sample(t))
		assert.Equal(t, "response_invalid", answer.JSON(t)["reason"], "a misspelt fault must not look like success")
		refused := testcaddy.Post(t, c.sandbox+"?fault=lightning", sample(t))
		assert.Equal(t, 400, refused.Status)
		for _, fault := range []string{"bad_signature", "wrong_key", "tampered", "unsigned", "mismatch", "truncated", "reset", "slow", "http_500", "not_json"} {
			assert.Contains(t, string(refused.Body), fault)
		}
		assert.Equal(t, 400, testcaddy.Post(t, c.sandbox+"?fault=slow&delay=1h", sample(t)).Status)
		assert.Equal(t, 400, testcaddy.Post(t, c.sandbox+"?fault=slow&delay=x", sample(t)).Status)
	})
}

// The sandbox refuses what the provider would refuse, and its refusals are
// signed.
func TestRefusals(t *testing.T) {
	c := start(t, "")
	plain := testcaddy.Post(t, c.sandbox, sample(t))
	assert.Equal(t, 200, plain.Status)
	assert.NotContains(t, string(plain.Body), `"000000"`, "an unsigned request")

	for name, change := range map[string]string{
		"a wrong count":  strings.Replace(string(sample(t)), `"transCount": "2"`, `"transCount": "9"`, 1),
		"a wrong amount": strings.Replace(string(sample(t)), `"transAmt": "100"`, `"transAmt": "1000"`, 1),
	} {
		answer := testcaddy.Post(t, c.sidecar, []byte(change))
		assert.Equal(t, 200, answer.Status, name)
		assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"), name)
		assert.NotEqual(t, "000000", answer.JSON(t)["sysRetCode"], name)
	}
	// A merchant that the provider does not know.
	stranger := strings.Replace(string(sample(t)), `"orgId": "ORG000000000007"`, `"orgId": "nobody"`, 1)
	answer := testcaddy.Post(t, c.sidecar, []byte(stranger))
	assert.Equal(t, "response_invalid", answer.JSON(t)["reason"])
}

// A path that the provider does not have is not answered as a success.
func TestUnknownPath(t *testing.T) {
	c := start(t, "")
	site := testcaddy.FreeAddress(t)
	t.Setenv("COUNTERSIGN_SANDBOX_ORG", "ORG000000000007")
	require.NoError(t, c.Reload(fmt.Sprintf(`{
	countersign {
		keys file %s
	}
}
http://%s {
	bind 127.0.0.1
	countersign_sandbox easypay {
		keys easypay/{env.COUNTERSIGN_SANDBOX_ORG}
	}
}`, testcaddy.DevKeys("provider"), site)))
	assert.Equal(t, 404, testcaddy.Post(t, "http://"+site+"/nosuch", sample(t)).Status)
	answer := testcaddy.Post(t, "http://"+site+"/ledger/mpos", sample(t))
	assert.Equal(t, 200, answer.Status, "the keys are named with a variable of the environment: %s", answer.Body)
}

// GET on …/received shows the last request as it came, and what the provider
// made of it.
func TestReceived(t *testing.T) {
	c := start(t, "")
	received := strings.TrimSuffix(c.sandbox, "mpos") + "received"
	get := func() *testcaddy.Answer {
		return testcaddy.Post(t, received, nil, func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0 })
	}
	assert.Equal(t, 404, get().Status, "nothing came yet")
	require.Equal(t, 200, testcaddy.Post(t, c.sidecar+"?a=b", sample(t)).Status)
	answer := get()
	require.Equal(t, 200, answer.Status)
	shown := answer.JSON(t)
	assert.Equal(t, "/ledger/mpos?a=b", shown["path"])
	assert.Contains(t, shown["body"], `"dgtlEnvlp":"`)
	assert.NotContains(t, shown["body"], "北京烤鸭")
	assert.Contains(t, shown["provider"], "北京烤鸭", "what the provider decrypted")
	assert.NotContains(t, c.Logs.Text(), "北京烤鸭", "plain text is never logged")
}

// notify sends the matching notification after each success, several times, and
// stops when it is acknowledged.
func TestNotify(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	var acknowledge atomic.Int64
	acknowledge.Store(3)
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(text))
		assert.Equal(t, http.MethodPost, r.Method)
		assert.Contains(t, r.Header.Get("Content-Type"), "application/json")
		if int64(len(bodies)) < acknowledge.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer application.Close()
	c := start(t, "notify "+application.URL+"/notify")
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(bodies)
	}
	require.Equal(t, 200, testcaddy.Post(t, c.sidecar, sample(t)).Status)
	require.Eventually(t, func() bool { return count() == 3 }, 10*time.Second, 10*time.Millisecond)
	time.Sleep(200 * time.Millisecond)
	mu.Lock()
	assert.Len(t, bodies, 3, "it stops when it is acknowledged")
	assert.Equal(t, bodies[0], bodies[2], "the same notification again")
	assert.Contains(t, bodies[0], `"oriOrgTrace":"ORG0000720220224031331542213"`)
	mu.Unlock()

	// What failed is not notified.
	testcaddy.Post(t, c.sidecar, []byte(strings.Replace(string(sample(t)), `"transCount": "2"`, `"transCount": "9"`, 1)))
	testcaddy.Post(t, c.sidecar+"?fault=reset", sample(t))
	time.Sleep(300 * time.Millisecond)
	assert.Equal(t, 3, count())
}

// Notifications that nobody acknowledges end with the configuration.
func TestNotifyEnds(t *testing.T) {
	var calls atomic.Int64
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer application.Close()
	c := start(t, "notify "+application.URL)
	require.Equal(t, 200, testcaddy.Post(t, c.sidecar, sample(t)).Status)
	require.Eventually(t, func() bool { return calls.Load() > 0 }, 5*time.Second, 5*time.Millisecond)
	begin := time.Now()
	require.NoError(t, c.Reload("http://"+testcaddy.FreeAddress(t)+" {\nbind 127.0.0.1\n}"))
	assert.Less(t, time.Since(begin), 3*time.Second)
	last := calls.Load()
	time.Sleep(700 * time.Millisecond)
	assert.Equal(t, last, calls.Load())
}

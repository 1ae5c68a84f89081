package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"

	_ "github.com/countersign/caddy-countersign/module/notify"
)

// byHand are the sandboxes that are written by hand. Their recipes are played here
// under names of the configuration.
var byHand = map[string]bool{"easypay": true, "jeepay": true, "hbsk": true, "hkrt": true, "hongwen": true}

// played is a recipe that ships, as the test plays it.
type played struct {
	name, called string
	program      *recipe.Program
	rules        *scheme.Description
	sample       []byte
}

// stage is a Caddy in which every recipe that ships has a sidecar, a sandbox and an
// application that gets its notifications.
type stage struct {
	*testcaddy.Caddy
	sidecar, sandbox string
	all              []played
}

// options are those without which a provider refuses: an empty sn leaves a blank at the
// start of a header's value, which HTTP drops.
var options = map[string]string{"shouqianba": "sn 100000000000001"}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{sidecar: testcaddy.FreeAddress(t), sandbox: testcaddy.FreeAddress(t)}
	merchant, provider := t.TempDir(), t.TempDir()
	var own, sidecars, applications, sandboxes strings.Builder
	for _, name := range providers.Names() {
		r, _ := providers.Find(name)
		program, err := recipe.Compile(name, r, nil)
		require.NoError(t, err)
		peer, err := program.Peer()
		require.NoError(t, err)
		p := played{name: name, called: name, program: program, rules: program.Describe(), sample: peer.Sample().Source()}
		providertest.NewSides(t, program).Write(t, merchant, provider, name+"/M1")
		if byHand[name] {
			p.called = "my-" + name
			text, _ := providers.Text(name)
			own.WriteString(strings.Replace(text, "recipe "+name+" {", "recipe "+p.called+" {", 1))
		}
		s.all = append(s.all, p)
		notify := ""
		if p.rules.Notification != nil {
			ack := p.rules.Notify.Ack
			if p.rules.Notify.SignAck != nil {
				ack = `{"response_biz_content":"0","returnCode":"SUCCESS"}`
			}
			fmt.Fprintf(&applications, "handle /notify/%s {\ncountersign_notify %s {\nkeys %s/M1\n}\nrespond `%s`\n}\n", name, p.called, name, ack)
			notify = fmt.Sprintf("notify http://%s/notify/%s", s.sidecar, name)
		}
		if p.rules.Request != nil {
			unsigned := options[name]
			if p.rules.Answer == nil {
				unsigned += "\nunsigned_responses pass"
			}
			for path, timeout := range map[string]string{name: "60s", "slow/" + name: "1s"} {
				fmt.Fprintf(&sidecars, "handle_path /%s/* {\nrewrite * /%s{uri}\ncountersign %s http://%s {\nkeys %s/M1\nprofile %s\ntimeout %s\n%s\n}\n}\n",
					path, name, p.called, s.sandbox, name, strings.ReplaceAll(path, "/", "-"), timeout, unsigned)
			}
		}
		fmt.Fprintf(&sandboxes, "handle /%s/* {\ncountersign_sandbox %s {\nkeys provider %s/M1\n%s\n%s\n}\n}\n", name, p.called, name, options[name], notify)
	}
	s.Caddy = testcaddy.Run(t, fmt.Sprintf("{\ncountersign {\nkeys file %s\nkeys file %s {\nname provider\n}\n%s\n}\n}\nhttp://%s {\nbind 127.0.0.1\n%s\n%s\n}\nhttp://%s {\nbind 127.0.0.1\n%s\n}\n",
		merchant, provider, own.String(), s.sidecar, sidecars.String(), applications.String(), s.sandbox, sandboxes.String()))
	return s
}

func (s *stage) post(t *testing.T, p played, query string) *testcaddy.Answer {
	t.Helper()
	return testcaddy.Post(t, "http://"+s.sidecar+"/"+p.name+"/pay"+query, p.sample)
}

// trigger has the sandbox send a notification and returns what came of it.
func (s *stage) trigger(t *testing.T, p played, query, body string) (status int, acknowledged bool) {
	t.Helper()
	answer := testcaddy.Post(t, "http://"+s.sandbox+"/"+p.name+"/send-notification"+query, []byte(body))
	require.Equal(t, 200, answer.Status, "%s", answer.Body)
	var got struct {
		Status       int
		Acknowledged bool
		Error        string
	}
	require.NoError(t, json.Unmarshal(answer.Body, &got))
	require.Empty(t, got.Error)
	return got.Status, got.Acknowledged
}

// Every recipe that ships works from an application through the sidecar to the
// sandbox and back, and each fault is refused or reported as the documentation says;
// what a sandbox notifies of reaches the application, and with a fault does not.
func TestRecipes(t *testing.T) {
	s := newStage(t)
	for _, p := range s.all {
		if p.rules.Request != nil {
			t.Run(p.name+" exchange", func(t *testing.T) { s.exchange(t, p) })
		}
		if p.rules.Notification != nil {
			t.Run(p.name+" notification", func(t *testing.T) { s.notification(t, p) })
		}
	}
	t.Run("slow", s.slow)
	t.Run("notifications after exchanges", func(t *testing.T) {
		expected := 0
		for _, p := range s.all {
			if p.rules.Request != nil && p.rules.Notification != nil {
				expected++
			}
		}
		s.Logs.Wait(t, expected, func(e testcaddy.Entry) bool { return e["msg"] == "notification sent" && e["acknowledged"] == true })
	})
	assert.NotEmpty(t, s.Logs.Matching(func(e testcaddy.Entry) bool {
		return strings.Contains(fmt.Sprint(e["msg"]), "made from the same recipe") && e["recipe"] == "alipay"
	}), "it says what it is")
}

func (s *stage) exchange(t *testing.T, p played) {
	answer := s.post(t, p, "")
	require.Equal(t, 200, answer.Status, "%s", answer.Body)
	assert.Contains(t, string(answer.Body), recipe.Marker)
	signs := p.rules.Answer != nil
	assert.Equal(t, fmt.Sprint(signs), answer.Header.Get("Countersign-Verified"))

	wrong := func(reason string) string {
		if signs {
			return reason
		}
		return "" // nobody signs it, so that nothing shows
	}
	mismatch := ""
	if len(p.rules.Match) > 0 {
		mismatch = "response_mismatch"
	}
	for fault, want := range map[string]string{
		"bad_signature": wrong("response_signature_invalid"), "wrong_key": wrong("response_signature_invalid"),
		"tampered": wrong("response_signature_invalid"), "unsigned": wrong("response_unsigned"), "mismatch": wrong(mismatch),
		"truncated": "upstream_failed", "reset": "upstream_failed", "not_json": "response_invalid", "http_500": "", "nosuch": "response_invalid",
	} {
		answer := s.post(t, p, "?fault="+fault)
		if want == "" {
			assert.Equal(t, map[bool]int{true: 500, false: 200}[fault == "http_500"], answer.Status, "%s: %s", fault, answer.Body)
			assert.Equal(t, fmt.Sprint(signs), answer.Header.Get("Countersign-Verified"), fault)
			continue
		}
		reason := fmt.Sprint(answer.JSON(t)["reason"])
		if want == "response_invalid" && signs && !p.rules.Answer.Format.IsJSON() && reason == "response_unsigned" {
			continue // what is not JSON may still be a form
		}
		if want == "response_invalid" && signs && p.rules.Answer.Format.Sealed && reason == "response_decryption_failed" {
			continue // what is encrypted as a whole is not JSON either
		}
		assert.Equal(t, want, reason, "%s: %s", fault, answer.Body)
	}

	// What is not signed the sandbox refuses, and says so in an answer that is signed.
	plain := testcaddy.Post(t, "http://"+s.sandbox+"/"+p.name+"/pay", p.sample)
	assert.Equal(t, 200, plain.Status)
	assert.NotContains(t, string(plain.Body), "SUCCESS")
}

func (s *stage) notification(t *testing.T, p played) {
	status, acknowledged := s.trigger(t, p, "", "")
	assert.Equal(t, 200, status)
	assert.True(t, acknowledged)
	for _, fault := range []string{"bad_signature", "wrong_key", "tampered", "unsigned"} {
		status, acknowledged = s.trigger(t, p, "?fault="+fault, "")
		assert.Equal(t, http.StatusUnauthorized, status, fault)
		assert.False(t, acknowledged, fault)
	}
	assert.Equal(t, 400, testcaddy.Post(t, "http://"+s.sandbox+"/"+p.name+"/send-notification?fault=reset", nil).Status)
}

// slow is upstream_timeout for all of them, at once, as each takes its time.
func (s *stage) slow(t *testing.T) {
	var all sync.WaitGroup
	for _, p := range s.all {
		if p.rules.Request == nil {
			continue
		}
		all.Go(func() {
			answer, err := testcaddy.TryPost(t.Context(), "http://"+s.sidecar+"/slow/"+p.name+"/pay?fault=slow&delay=55s", p.sample)
			if !assert.NoError(t, err, p.name) {
				return
			}
			assert.Equal(t, "upstream_timeout", answer.JSON(t)["reason"], p.name)
		})
	}
	all.Wait()
}

// acme returns a recipe of a configuration, with its sidecar and its sandbox.
func acme(t *testing.T, sidecar, sandbox, options string) string {
	t.Helper()
	dir := t.TempDir()
	keySet := map[keys.Role]string{keys.SharedSecret: "a-secret-of-acme-0123456789"}
	providertest.Sides{Merchant: keySet, Provider: keySet}.Write(t, dir, dir, "acme/M1")
	return fmt.Sprintf(`{
	countersign {
		keys file %s
		recipe acme {
			option merchant
			option currency CNY USD
			methods GET POST
			text members {
				sorted body except sign nested json
				append "{secret}{option.currency}"
			}
			request {
				default body.merchant {option.merchant}
				sign header.sign sha256 hex "{method}{uri}{body}{secret}{option.currency}"
			}
			answer {
				verify body.sign hmac-sha256 hex members
				match body.order
				result body.code
			}
		}
	}
}
http://%s {
	bind 127.0.0.1
	countersign acme http://%s {
		keys acme/M1
		merchant M1
	}
}
http://%s {
	bind 127.0.0.1
	countersign_sandbox acme {
		keys acme/M1
		%s
	}
}`, dir, sidecar, sandbox, sandbox, options)
}

// The operator says what a sandbox answers, and the recipe's options hold for it too.
func TestRecipeAnswer(t *testing.T) {
	sidecar, sandbox := testcaddy.FreeAddress(t), testcaddy.FreeAddress(t)
	const answer = "answer `{\"code\":\"0000\",\"order\":\"{body.order}\",\"paid\":{\"amount\":\"{body.amount}\",\"at\":\"{method} {path}\"},\"none\":\"{body.none}\",\"all\":\"{body}\"}`"
	c := testcaddy.Run(t, acme(t, sidecar, sandbox, answer))
	post := func() map[string]any {
		return testcaddy.Post(t, "http://"+sidecar+"/pay", []byte(`{"order":"T1","amount":12.50}`)).JSON(t)
	}
	got := post()
	delete(got, "sign")
	assert.Equal(t, map[string]any{
		"code": "0000", "order": "T1", "paid": map[string]any{"amount": 12.5, "at": "POST /pay"}, "none": nil,
		"all": map[string]any{"order": "T1", "amount": 12.5, "merchant": "M1"},
	}, got)
	get := testcaddy.Post(t, "http://"+sidecar+"/query?order=T1", nil, func(r *http.Request) {
		r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0
		r.Header.Del("Content-Type")
	})
	assert.Equal(t, "GET /query", get.JSON(t)["paid"].(map[string]any)["at"], "%s", get.Body)
	received := testcaddy.Post(t, "http://"+sandbox+"/received", nil, func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0 })
	assert.Contains(t, received.JSON(t)["provider"], "made from the recipe acme; verified")
	assert.Equal(t, 405, testcaddy.Post(t, "http://"+sandbox+"/pay", nil, func(r *http.Request) { r.Method = http.MethodPut }).Status)
	assert.Equal(t, 404, testcaddy.Post(t, "http://"+sandbox+"/send-notification", nil).Status)

	require.NoError(t, c.Reload(acme(t, sidecar, sandbox, "currency USD")))
	assert.Equal(t, "response_signature_invalid", post()["reason"], "the sandbox has another option than the sidecar")
}

// What a sandbox cannot play is refused when it is loaded, with its line.
func TestRecipeRefused(t *testing.T) {
	for options, want := range map[string]string{
		"colour red":                    "unknown option",
		"currency EUR":                  "CNY",
		"currency USD\ncurrency USD":    "given twice",
		"answer `[1]`":                  "no JSON object",
		"answer `{\"a\":\"{secret}\"}`": "a template of the sandbox has",
		"answer `{\"a\":\"{nosuch}\"}`": "unknown placeholder",
		"answer `{}`\nanswer `{}`":      "given twice",
		"notify http://127.0.0.1:1/":    "has no notifications",
		"notification `{}`":             "nothing that notification could be for",
	} {
		err := testcaddy.Validate(acme(t, "127.0.0.1:21001", "127.0.0.1:21002", options))
		require.Error(t, err, options)
		assert.Contains(t, err.Error(), want, options)
		assert.Contains(t, err.Error(), "Caddyfile:", options)
	}
	for scheme, want := range map[string]string{
		"nosuch": "there is no sandbox for", "stripe": "has notifications only", "easypay {\nkeys a/b\npadding zero\n}": "unknown option",
	} {
		if !strings.Contains(scheme, "{") {
			scheme += " {\nkeys a/b\n}"
		}
		err := testcaddy.Validate("{\ncountersign {\nkeys file " + t.TempDir() + "\n}\n}\n:21003 {\nbind 127.0.0.1\ncountersign_sandbox " + scheme + "\n}\n")
		require.Error(t, err, scheme)
		assert.Contains(t, err.Error(), want)
	}
}

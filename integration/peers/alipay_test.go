package peers

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// alipay-sdk and the recipe make the same signature of the same request, encrypted too.
func TestAlipayRequest(t *testing.T) {
	n := clients(t)
	merchant, provider := newPair(t), newPair(t)
	aes := make([]byte, 16)
	_, _ = rand.Read(aes)
	key := base64.StdEncoding.EncodeToString(aes)
	set := keySet(t, map[keys.Role]string{keys.Sign: merchant.private, keys.Verify: provider.public, keys.SharedSecret + "@aes": key})
	for round := range rounds {
		m := makerOf(round)
		encrypted := round%2 == 1
		content := m.object(2)
		params := args{"bizContent": content, "notifyUrl": "https://a.example/n?a=1&b=%20+", "needEncrypt": encrypted, "format": "JSON"}
		var theirs string
		n.call(t, "alipay.request", args{"privateKey": merchant.private, "publicKey": provider.public, "encryptKey": key, "params": params}, &theirs)
		want, err := url.ParseQuery(theirs)
		require.NoError(t, err)
		members := make(map[string]any)
		for name := range want {
			if name != "sign" && name != "biz_content" && name != "encrypt_type" {
				members[name] = want.Get(name)
			}
		}
		options := recipe.Settings{"app_id": {"A1"}}
		plain := want.Get("biz_content")
		if encrypted {
			options["content"] = []string{"AES"}
			plain = jsText(t, n, content)
		}
		request := strings.TrimSuffix(compact(t, members), "}") + `,"biz_content":` + plain + "}"
		ours, err := url.ParseQuery(string(seal(t, program(t, "alipay", options), set, "POST", "/gateway.do", request).Wire))
		require.NoError(t, err)
		assert.Equal(t, want, ours, "round %d", round)
	}
}

// jsText returns what JavaScript's JSON.stringify writes of a value that came to it as JSON:
// large numbers lose digits there.
func jsText(t *testing.T, n *node, value any) string {
	t.Helper()
	var text string
	n.call(t, "json", args{"value": value}, &text)
	return text
}

// alipay-sdk and the recipe take the same answers and notifications.
func TestAlipayAnswersAndNotifications(t *testing.T) {
	n := clients(t)
	merchant, provider := newPair(t), newPair(t)
	set := keySet(t, map[keys.Role]string{keys.Sign: merchant.private, keys.Verify: provider.public})
	p := program(t, "alipay", nil)
	for round := range rounds {
		m := makerOf(round)
		response := compact(t, m.object(2))
		sign := provider.sign(t, response)
		for _, wire := range []string{
			`{"alipay_trade_pay_response":` + response + `,"sign":"` + sign + `"}`,
			`{"sign":"` + sign + `","alipay_trade_pay_response":` + response + `}`,
		} {
			if strings.Contains(response, "sign") {
				continue // alipay-sdk searches the text for "sign"
			}
			_, err := open(p, message.Answer, set, wire, nil)
			require.NoError(t, err, wire)
			if strings.HasPrefix(wire, `{"alipay`) {
				assert.True(t, n.passes(t, "alipay.answer", args{"privateKey": merchant.private, "publicKey": provider.public, "wire": wire, "member": "alipay_trade_pay_response", "sign": sign}), wire)
			}
			spoiled := `{"alipay_trade_pay_response":` + strings.Replace(response, "T", "U", 1) + `,"sign":"` + sign + `"}`
			_, err = open(p, message.Answer, set, spoiled, nil)
			assert.Error(t, err)
			assert.False(t, n.passes(t, "alipay.answer", args{"privateKey": merchant.private, "publicKey": provider.public, "wire": spoiled, "member": "alipay_trade_pay_response", "sign": sign}))
		}

		form := map[string]string{"notify_id": fmt.Sprint("n", round), "notify_time": time.Now().Format("2006-01-02 15:04:05"), "trade_status": "TRADE_SUCCESS"}
		for i := range 4 {
			if value := m.text(); value != "" && !strings.Contains(value, "&sign") {
				form[fmt.Sprint("v", i)] = value
			}
		}
		names := slices.Sorted(maps.Keys(form))
		pieces := make([]string, len(names))
		for i, name := range names {
			pieces[i] = name + "=" + form[name]
		}
		form["sign"], form["sign_type"] = provider.sign(t, strings.Join(pieces, "&")), "RSA2"
		wire := make(url.Values)
		for name, value := range form {
			wire.Set(name, value)
		}
		_, err := open(p, message.Notification, set, wire.Encode(), nil)
		require.NoError(t, err, "%v", form)
		ask := args{"privateKey": merchant.private, "publicKey": provider.public, "form": form}
		assert.True(t, n.passes(t, "alipay.notification", ask), "%v", form)
		form["trade_status"] = "TRADE_CLOSED"
		wire.Set("trade_status", "TRADE_CLOSED")
		_, err = open(p, message.Notification, set, wire.Encode(), nil)
		assert.Error(t, err)
		assert.False(t, n.passes(t, "alipay.notification", ask))
	}
}

// alipay-sdk's requests of version 3, sent to a server here, are signed over what the recipe
// signs; of the server's answers it takes those that the recipe takes.
func TestAlipayV3(t *testing.T) {
	n := clients(t)
	merchant, provider := newPair(t), newPair(t)
	set := keySet(t, map[keys.Role]string{keys.Sign: merchant.private, keys.Verify: provider.public})
	p := program(t, "alipay-v3", recipe.Settings{"app_id": {"A1"}})
	var mutex sync.Mutex
	var answer, spoiled string
	var problems []string
	var ours []error
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		raw, _ := io.ReadAll(r.Body)
		auth, sign, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "ALIPAY-SHA256withRSA "), ",sign=")
		if !ok || !merchant.verifies(auth+"\n"+r.Method+"\n"+r.URL.RequestURI()+"\n"+string(raw)+"\n", sign) {
			problems = append(problems, r.Header.Get("Authorization"))
		}
		now, nonce := fmt.Sprint(time.Now().UnixMilli()), "n0nce"
		header := map[string]string{"alipay-timestamp": now, "alipay-nonce": nonce, "alipay-signature": provider.sign(t, now+"\n"+nonce+"\n"+answer+"\n")}
		_, err := open(p, message.Answer, set, spoiled, header)
		ours = append(ours, err)
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, spoiled)
	}))
	defer server.Close()
	for round := range 12 {
		m := makerOf(round)
		mutex.Lock()
		answer = compact(t, m.object(1))
		if spoiled = answer; round%3 == 2 {
			spoiled = strings.Replace(answer, "T", "U", 1)
		}
		mutex.Unlock()
		call := args{"privateKey": merchant.private, "publicKey": provider.public, "endpoint": server.URL, "method": "POST", "path": "/v3/alipay/trade/pay", "options": args{"body": m.object(1)}}
		if round%4 == 3 {
			call["method"], call["options"] = "GET", args{"query": args{"q": "a b+c&茶", "n": "1"}}
		}
		var got struct {
			Data    any
			Refused string
		}
		n.call(t, "alipay.v3", call, &got)
		mutex.Lock()
		require.Len(t, ours, round+1, got.Refused)
		assert.Equal(t, round%3 == 2, got.Refused != "", got.Refused)
		assert.Equal(t, got.Refused != "", ours[round] != nil, "%v", ours[round])
		assert.Empty(t, problems)
		mutex.Unlock()
	}
}

package notify_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const ackedRecipe = `recipe acked {
	text members {
		sorted body except sign
	}
	notification {
		verify body.sign hmac-sha256 hex members
		ack sign body.sign hmac-sha256 hex members
	}
}
`

// An acknowledgement leaves with the signature that the provider's rule demands,
// or not at all.
func TestASignedAcknowledgement(t *testing.T) {
	secret, err := os.ReadFile(filepath.Join("..", "..", "keys-dev", "merchant", "hbsk", "d787d45a68b48", "secret"))
	require.NoError(t, err)
	mac := func(text string) string {
		h := hmac.New(sha256.New, []byte(strings.TrimSpace(string(secret))))
		h.Write([]byte(text))
		return hex.EncodeToString(h.Sum(nil))
	}
	note := sent{contentType: "application/json", body: `{"order":"1","sign":"` + mac("order=1") + `"}`}
	for _, once := range []string{"", "once 1h\n"} {
		app := newApplication(t, nil)
		c := serve(t, "countersign_notify acked {\nkeys hbsk/d787d45a68b48\n"+once+"}\n"+app.proxy(), ackedRecipe)
		answer := func(status int, contentType, text string) {
			app.answers(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, text)
			})
		}

		// What is refused first is not remembered: the application is asked again.
		for name, text := range map[string]string{
			"no JSON": "success", "nothing": "", "a list": "[]", "a member twice": `{"a":1,"a":2}`,
			"an order": `{"version":"0.0.1","biz_content":{"amount":"1"}}`, "an order as text": `{"biz_content":" {\"amount\":\"1\"}"}`, "a list within": `{"orders":[1]}`,
			"too large": `{"a":"` + strings.Repeat("x", 70<<10) + `"}`,
		} {
			answer(200, "application/json", text)
			refused := c.post(t, note)
			assert.Equal(t, http.StatusBadGateway, refused.status, name)
			assert.Equal(t, "application_failed", refused.code(t), name)
			assert.NotContains(t, refused.body, "xxxx", name)
			assert.Len(t, app.calls(), 1, name)
		}

		answer(500, "application/json", `{"code":"FAIL"}`)
		failed := c.post(t, note)
		assert.Equal(t, 500, failed.status)
		assert.Equal(t, `{"code":"FAIL"}`, failed.body, "what does not acknowledge is not signed")

		answer(200, "application/json", `{ "code" : "SUCCESS","n":1.10}`)
		good := c.post(t, note)
		assert.Equal(t, 200, good.status)
		assert.Equal(t, `{ "code" : "SUCCESS","n":1.10,"sign":"`+mac("code=SUCCESS&n=1.10")+`"}`, good.body)
		assert.Equal(t, "application/json", good.header.Get("Content-Type"))
		app.calls()
		assert.Equal(t, good.body, c.post(t, note).body)
		if once != "" {
			assert.Empty(t, app.calls(), "a repeat gets the same acknowledgement, signed")
		}
	}
}

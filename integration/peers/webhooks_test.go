package peers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v82/webhook"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

func mac(secret, text string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return h.Sum(nil)
}

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// Stripe's libraries in Go and in JavaScript, and the recipe, take what the others sign, and
// refuse what was changed.
func TestStripe(t *testing.T) {
	p := program(t, "stripe", nil)
	set := keySet(t, map[keys.Role]string{keys.SharedSecret: webhookSecret})
	for round := range rounds {
		m := makerOf(round)
		payload := compact(t, map[string]any{"id": fmt.Sprint("evt_", round), "object": "event", "data": m.object(2)})
		now := time.Now()
		theirs := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(payload), Secret: webhookSecret, Timestamp: now})
		ours := fmt.Sprintf("t=%d,v1=%x", now.Unix(), mac(webhookSecret, fmt.Sprintf("%d.%s", now.Unix(), payload)))
		changed := m.spoiled(payload)
		takes := map[string]func(payload, header string) bool{
			"recipe": func(payload, header string) bool {
				_, err := open(p, message.Notification, set, payload, map[string]string{"Stripe-Signature": header})
				return err == nil
			},
			"stripe-go": func(payload, header string) bool {
				return webhook.ValidatePayload([]byte(payload), header, webhookSecret) == nil
			},
		}
		for name, take := range takes {
			assert.True(t, take(payload, theirs.Header), "%s: stripe-go's", name)
			assert.True(t, take(payload, ours), "%s: ours", name)
			assert.True(t, take(payload, ours+",v1=00,v0=11"), "%s: with others beside it", name)
			assert.False(t, take(changed, ours), "%s: %s", name, changed)
			assert.False(t, take(payload, strings.Replace(ours, "v1=", "v0=", 1)), "%s: another version", name)
		}
	}
	n := clients(t)
	for round := range rounds {
		m := makerOf(round)
		payload := compact(t, map[string]any{"id": fmt.Sprint("evt_", round), "object": "event", "data": m.object(2)})
		now := time.Now().Unix()
		var header string
		n.call(t, "stripe.sign", args{"body": payload, "secret": webhookSecret, "timestamp": now}, &header)
		_, err := open(p, message.Notification, set, payload, map[string]string{"Stripe-Signature": header})
		require.NoError(t, err)
		ours := fmt.Sprintf("t=%d,v1=%x", now, mac(webhookSecret, fmt.Sprintf("%d.%s", now, payload)))
		assert.True(t, n.passes(t, "stripe.verify", args{"body": payload, "header": ours, "secret": webhookSecret}))
		assert.False(t, n.passes(t, "stripe.verify", args{"body": m.spoiled(payload), "header": ours, "secret": webhookSecret}))
	}
}

// So do the libraries of Standard Webhooks.
func TestStandardWebhooks(t *testing.T) {
	p := program(t, "standard-webhooks", nil)
	set := keySet(t, map[keys.Role]string{keys.SharedSecret: webhookSecret})
	library, err := standard.NewWebhook(webhookSecret)
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(webhookSecret, "whsec_"))
	require.NoError(t, err)
	headers := func(id string, at time.Time, signature string) map[string]string {
		return map[string]string{"webhook-id": id, "webhook-timestamp": fmt.Sprint(at.Unix()), "webhook-signature": signature}
	}
	recipe := func(payload string, h map[string]string) bool {
		_, err := open(p, message.Notification, set, payload, h)
		return err == nil
	}
	inGo := func(payload string, h map[string]string) bool {
		header := make(http.Header)
		for name, value := range h {
			header.Set(name, value)
		}
		return library.Verify([]byte(payload), header) == nil
	}
	messages := func(each func(m maker, id, payload string, now time.Time, ours string)) {
		for round := range rounds {
			m := makerOf(round)
			id, payload, now := fmt.Sprint("msg_", round), compact(t, m.object(2)), time.Now()
			each(m, id, payload, now, "v1,"+base64.StdEncoding.EncodeToString(mac(string(raw), fmt.Sprintf("%s.%d.%s", id, now.Unix(), payload))))
		}
	}
	messages(func(m maker, id, payload string, now time.Time, ours string) {
		theirs, err := library.Sign(id, now, []byte(payload))
		require.NoError(t, err)
		for name, takes := range map[string]func(string, map[string]string) bool{"recipe": recipe, "standard-webhooks in Go": inGo} {
			assert.True(t, takes(payload, headers(id, now, theirs)), name)
			assert.True(t, takes(payload, headers(id, now, "v1a,AAAA "+ours+" v1,AAAA")), name)
			assert.False(t, takes(m.spoiled(payload), headers(id, now, ours)), name)
			assert.False(t, takes(payload, headers(id+"x", now, ours)), name)
			assert.False(t, takes(payload, headers(id, now.Add(-time.Hour), ours)), name)
			assert.False(t, takes(payload, headers(id, now, "v2"+ours[2:])), name)
		}
	})
	n := clients(t)
	messages(func(m maker, id, payload string, now time.Time, ours string) {
		var theirs string
		n.call(t, "standard.sign", args{"secret": webhookSecret, "id": id, "timestamp": now.Unix(), "body": payload}, &theirs)
		assert.True(t, recipe(payload, headers(id, now, theirs)))
		assert.True(t, n.passes(t, "standard.verify", args{"secret": webhookSecret, "body": payload, "headers": headers(id, now, ours)}))
		assert.False(t, n.passes(t, "standard.verify", args{"secret": webhookSecret, "body": m.spoiled(payload), "headers": headers(id, now, ours)}))
	})
}

// GitHub's and Razorpay's sign the body alone.
func TestGitHubAndRazorpay(t *testing.T) {
	github, razorpay := program(t, "github", nil), program(t, "razorpay", nil)
	set := keySet(t, map[keys.Role]string{keys.SharedSecret: webhookSecret})
	n := clients(t)
	for round := range rounds {
		m := makerOf(round)
		payload := compact(t, m.object(2))
		changed, ours := m.spoiled(payload), hex.EncodeToString(mac(webhookSecret, payload))
		var theirs string
		n.call(t, "github.sign", args{"secret": webhookSecret, "body": payload}, &theirs)
		_, err := open(github, message.Notification, set, payload, map[string]string{"X-Hub-Signature-256": theirs})
		require.NoError(t, err)
		_, err = open(github, message.Notification, set, changed, map[string]string{"X-Hub-Signature-256": theirs})
		assert.Error(t, err)
		assert.True(t, n.passes(t, "github.verify", args{"secret": webhookSecret, "body": payload, "signature": "sha256=" + ours}))
		assert.False(t, n.passes(t, "github.verify", args{"secret": webhookSecret, "body": changed, "signature": "sha256=" + ours}))

		_, err = open(razorpay, message.Notification, set, payload, map[string]string{"X-Razorpay-Signature": ours, "X-Razorpay-Event-Id": "e"})
		require.NoError(t, err)
		assert.True(t, n.passes(t, "razorpay.verify", args{"secret": webhookSecret, "body": payload, "signature": ours}))
		_, err = open(razorpay, message.Notification, set, changed, map[string]string{"X-Razorpay-Signature": ours, "X-Razorpay-Event-Id": "e"})
		assert.Error(t, err)
		assert.False(t, n.passes(t, "razorpay.verify", args{"secret": webhookSecret, "body": changed, "signature": ours}))
	}
}

package peers

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
)

const (
	merchantSerial = "3775B6A45ACD588826D15E583A95F5DD00000000"
	providerSerial = "PUB_KEY_ID_0112345678"
	apiKey         = "0123456789abcdefghijklmnopqrstuv"
)

// wechatpay-node-v3 makes the recipe's Authorization, and takes and refuses what the recipe
// takes and refuses.
func TestWechatPay(t *testing.T) {
	n := clients(t)
	merchant, provider := newPair(t), newPair(t)
	p := program(t, "wechatpay-v3", recipe.Settings{"mchid": {"M1"}, "encrypt": {"payee.user_name"}, "serial": {"header"}})
	set := keySet(t, map[keys.Role]string{
		keys.Sign: merchant.private, "sign.serial": merchantSerial, keys.Decrypt: merchant.private, keys.SharedSecret: apiKey,
		keys.Verify + "@" + providerSerial: provider.public, keys.Encrypt + "@" + providerSerial: provider.public,
	})
	client := func(more args) args {
		more["mchid"], more["serial"], more["privateKey"], more["key"] = "M1", merchantSerial, merchant.private, apiKey
		return more
	}
	for round := range rounds {
		m := makerOf(round)
		method, uri, text := "POST", "/v3/pay/transactions/native", compact(t, m.object(2))
		if round%4 == 3 {
			method, uri, text = "GET", "/v3/pay/transactions/id/1", ""
		}
		sealed := seal(t, p, set, method, uri, text)
		part := func(name string) string {
			values, err := sealed.HeaderPart("Authorization", name)
			require.NoError(t, err)
			require.Len(t, values, 1)
			return values[0]
		}
		assert.Equal(t, providerSerial, sealed.Header.Get("Wechatpay-Serial"))
		var theirs string
		n.call(t, "wechat.request", client(args{"method": method, "nonce": part("nonce_str"), "timestamp": part("timestamp"), "uri": uri, "body": string(sealed.Wire)}), &theirs)
		assert.Contains(t, theirs, `signature="`+part("signature")+`"`, "round %d", round)

		// answers
		now, nonce, wire := fmt.Sprint(time.Now().Unix()), fmt.Sprint("n", round), compact(t, m.object(2))
		if round%5 == 4 {
			wire = ""
		}
		sign := provider.sign(t, now+"\n"+nonce+"\n"+wire+"\n")
		try := func(wire, nonce string) (ours, others bool) {
			_, err := open(p, message.Answer, set, wire, map[string]string{"Wechatpay-Signature": sign, "Wechatpay-Timestamp": now, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": providerSerial})
			ask := client(args{"timestamp": now, "nonce": nonce, "body": wire, "signature": sign, "publicKey": provider.public})
			ask["serial"] = providerSerial
			return err == nil, n.passes(t, "wechat.verify", ask)
		}
		ours, others := try(wire, nonce)
		assert.True(t, ours && others, "round %d: %v %v", round, ours, others)
		if wire != "" {
			ours, others = try(m.spoiled(wire), nonce)
			assert.False(t, ours || others)
		}
		ours, others = try(wire, nonce+"x")
		assert.False(t, ours || others)
	}
}

// What the recipe encrypts wechatpay-node-v3 decrypts, and the other way round.
func TestWechatPayEncryption(t *testing.T) {
	n := clients(t)
	merchant, provider := newPair(t), newPair(t)
	p := program(t, "wechatpay-v3", recipe.Settings{"mchid": {"M1"}, "encrypt": {"user_name"}})
	set := keySet(t, map[keys.Role]string{
		keys.Sign: merchant.private, "sign.serial": merchantSerial, keys.Decrypt: merchant.private, keys.SharedSecret: apiKey,
		keys.Verify + "@" + providerSerial: provider.public, keys.Encrypt: provider.public,
	})
	for round := range rounds {
		m := makerOf(round)
		name := "张" + m.text()
		sealed := seal(t, p, set, "POST", "/v3/transfer", compact(t, map[string]any{"user_name": name}))
		o, err := body.Parse(sealed.Wire)
		require.NoError(t, err)
		ciphertext, _ := o.Text("user_name")
		var plain string
		n.call(t, "wechat.decrypt", args{"privateKey": provider.private, "text": ciphertext}, &plain)
		assert.Equal(t, name, plain)

		var encrypted string
		n.call(t, "wechat.encrypt", args{"privateKey": provider.private, "publicKey": merchant.public, "text": name}, &encrypted)
		now, wire := fmt.Sprint(time.Now().Unix()), compact(t, map[string]any{"user_name": encrypted})
		v, err := open(p, message.Answer, set, wire, map[string]string{
			"Wechatpay-Signature": provider.sign(t, now+"\nn\n"+wire+"\n"), "Wechatpay-Timestamp": now, "Wechatpay-Nonce": "n", "Wechatpay-Serial": providerSerial,
		})
		require.NoError(t, err)
		got, err := body.Parse(v.Body())
		require.NoError(t, err)
		opened, _ := got.Text("user_name")
		assert.Equal(t, name, opened)

		// a notification
		resource := compact(t, m.object(1))
		block, err := aes.NewCipher([]byte(apiKey))
		require.NoError(t, err)
		gcm, err := cipher.NewGCM(block)
		require.NoError(t, err)
		sealedResource := base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte("0123456789ab"), []byte(resource), []byte("transaction")))
		wire = compact(t, map[string]any{"id": fmt.Sprint("e", round), "resource": map[string]any{"algorithm": "AEAD_AES_256_GCM", "ciphertext": sealedResource, "associated_data": "transaction", "nonce": "0123456789ab"}})
		v, err = open(p, message.Notification, set, wire, map[string]string{
			"Wechatpay-Signature": provider.sign(t, now+"\nn\n"+wire+"\n"), "Wechatpay-Timestamp": now, "Wechatpay-Nonce": "n", "Wechatpay-Serial": providerSerial,
		})
		require.NoError(t, err)
		ours, _ := v.Member(body.Path{"resource"})
		var theirs map[string]any
		n.call(t, "wechat.resource", args{"privateKey": merchant.private, "ciphertext": sealedResource, "aad": "transaction", "nonce": "0123456789ab", "key": apiKey}, &theirs)
		assert.Equal(t, resource, string(ours.Raw()))
		assert.Equal(t, theirs["out_trade_no"], text(t, resource, "out_trade_no"))
	}
}

func text(t *testing.T, object, name string) string {
	t.Helper()
	o, err := body.Parse([]byte(object))
	require.NoError(t, err)
	value, _ := o.Text(name)
	return value
}

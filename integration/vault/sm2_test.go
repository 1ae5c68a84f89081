package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
	"github.com/countersign/caddy-countersign/module/gm"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// withSM2 is a reference of a provider that takes SM2 keys only, under a recipe that ships.
const withSM2 = "jlpay/sm2"

func sm2Key(t *testing.T) gm.PrivateKey {
	t.Helper()
	key, err := gm.GenerateKey()
	require.NoError(t, err)
	return key
}

func sm2Private(t *testing.T, key gm.PrivateKey) string {
	t.Helper()
	der, err := gm.MarshalPrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func sm2Public(t *testing.T, key gm.PrivateKey) string {
	t.Helper()
	der, err := gm.MarshalPublicKey(key.Public().(*ecdsa.PublicKey))
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sm2Provider runs a sandbox for withSM2, which signs with one key and takes what another has signed.
func (s *shop) sm2Provider(theirs, ours gm.PrivateKey) string {
	s.t.Helper()
	s.file(withSM2, "sign.pem", sm2Private(s.t, theirs))
	s.file(withSM2, "verify.pem", sm2Public(s.t, ours))
	dir, address := filepath.Join(s.dir, "sandbox-sm2"), networktest.Address(s.t)
	require.NoError(s.t, os.MkdirAll(dir, 0o700))
	launch(s.t, dir, `{
	admin unix/`+dir+`/admin|0600
	persist_config off
	countersign {
		keys file `+s.dir+`/provider {
			refresh 50ms
			settle 1ms
		}
	}
}
`+site(address)+` {
	bind 127.0.0.1
	countersign_sandbox jlpay {
		keys `+withSM2+`
		app_id A1
	}
}
`, nil)
	return address
}

func TestSM2KeysInKV(t *testing.T) {
	parallel(t)
	s := open(t, vaulttest.Start(t))
	ours, theirs := sm2Key(t), sm2Key(t)
	provider := s.sm2Provider(theirs, ours)
	s.policy("kv", policy(t, "kv")+`
path "payments/data/jlpay/*" { capabilities = ["read"] }
path "payments/metadata/jlpay/*" { capabilities = ["read"] }
`)
	version := s.put(withSM2, map[string]string{"sign": sm2Private(t, ours), "verify": sm2Public(t, theirs)})
	c := s.launch(s.with(s.proxy.URL, nil, []string{s.byRole(), "refresh 100ms"},
		"countersign jlpay "+provider+" {", "keys "+withSM2, "app_id A1", "}"))
	c.Await("ready", c.ready)
	s.taken(c, withSM2, version)
	pay := func() answer { return c.post("/open/trans/qrcodepay", []byte(`{"out_trade_no":"T1","total_fee":"1"}`)) }
	paid := func() {
		t.Helper()
		a := pay()
		require.Equal(t, 200, a.status, a.body)
		assert.Equal(t, "true", a.header.Get("Countersign-Verified"))
	}
	paid()

	k := c.keys(withSM2)
	assert.ElementsMatch(t, []string{"sign", "verify"}, k.Roles)
	assert.Equal(t, "version 1", k.Version)
	assert.True(t, k.Usable)
	assert.Len(t, k.Fingerprints["sign"], 1)

	// As the providers' consoles give them.
	public := theirs.Public().(*ecdsa.PublicKey)
	point := elliptic.Marshal(public.Curve, public.X, public.Y) //nolint:staticcheck // crypto/ecdh has no SM2
	der := func(text string) string {
		block, _ := pem.Decode([]byte(text))
		return base64.StdEncoding.EncodeToString(block.Bytes)
	}
	for name, fields := range map[string]map[string]string{
		"bare Base64":                 {"sign": der(sm2Private(t, ours)), "verify": der(sm2Public(t, theirs))},
		"130 hexadecimal digits":      {"sign": sm2Private(t, ours), "verify": hex.EncodeToString(point)},
		"128 hexadecimal digits":      {"sign": sm2Private(t, ours), "verify": hex.EncodeToString(point[1:]) + "\n"},
		"several keys":                {"sign": sm2Private(t, ours), "verify": sm2Public(t, sm2Key(t)) + sm2Public(t, theirs)},
		"a key that the bank has not": {"sign": sm2Private(t, ours), "verify": sm2Public(t, sm2Key(t))},
	} {
		s.taken(c, withSM2, s.put(withSM2, fields))
		if name == "a key that the bank has not" {
			a := pay()
			assert.Equal(t, 502, a.status, "%s: %s", name, a.body)
			assert.Equal(t, "response_signature_invalid", a.code(), name)
			assert.Equal(t, "unverified", a.outcome(), name)
			continue
		}
		paid()
	}

	// A pair that replaces the old one is taken up; what cannot be a key keeps it.
	next := sm2Key(t)
	s.file(withSM2, "verify.pem", sm2Public(t, next))
	s.taken(c, withSM2, s.put(withSM2, map[string]string{"sign": sm2Private(t, next), "verify": sm2Public(t, theirs)}))
	c.Await("the bank has the new key", func() bool { return pay().header.Get("Countersign-Verified") == "true" })
	s.put(withSM2, map[string]string{"sign": sm2Private(t, next), "verify": "04" + hex.EncodeToString(point[1:64]) + "zz"})
	c.awaitLog("reading the verify key from vault payments/data/" + withSM2)
	paid()

	for _, key := range []gm.PrivateKey{ours, next} {
		c.lacks(c.Log(), der(sm2Private(t, key))[60:100])
	}
}

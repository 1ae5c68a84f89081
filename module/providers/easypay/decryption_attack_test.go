package easypay_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// counting is a private key that counts how often it is asked to decrypt.
type counting struct {
	crypto.Decrypter
	asked int
}

func (c *counting) Decrypt(random io.Reader, text []byte, options crypto.DecrypterOpts) ([]byte, error) {
	c.asked++
	return c.Decrypter.Decrypt(random, text, options)
}

// TestNothingIsDecryptedBeforeItHasVerified asks the key itself: for a message
// that does not verify, whatever the reason, it is not used.
func TestNothingIsDecryptedBeforeItHasVerified(t *testing.T) {
	const reference = "easypay/ORG000000000007"
	merchant := providertest.Merchant(t, reference)
	private := merchant.Decrypt[0]
	counter := &counting{Decrypter: private.Decrypter}
	held := *merchant
	held.Decrypt = []*keys.PrivateKey{keys.NewPrivateKey(nil, counter, private.Public, "a test")}

	key := []byte(strings.Repeat("k", 32))
	wrapped := providertest.Wrap(t, private.Public, "", key)
	bodyOf := func(member, extra string) string {
		return `{"` + member + `":{"oriOrgTrace":"T1"` + extra + `,"orderSubDetails":"` + providertest.Encrypt(t, key, `[{"a":"1"}]`) + `","dgtlEnvlp":"` + wrapped + `"}}`
	}
	s := providertest.Configure(t, "easypay")
	signer := providertest.Signer{Scheme: s, Algorithm: providertest.RSA, Keys: providertest.Provider(t, reference)}
	sealed, err := s.Seal(providertest.Request{Body: providertest.Parse(t, `{"bizData":{"oriOrgTrace":"T1"}}`), Keys: merchant, Now: time.Now()})
	require.NoError(t, err)
	answer := func(text string) error {
		_, err := s.Open(providertest.Answer{Body: providertest.Parse(t, text), Keys: &held, Sealed: sealed})
		return err
	}
	notification := func(text string) error {
		_, err := s.OpenNotification(providertest.Notification{Body: providertest.Parse(t, text), Keys: &held})
		return err
	}
	alone := func(text string) error { // on the command line
		_, err := s.Open(providertest.Answer{Body: providertest.Parse(t, text), Keys: &held})
		return err
	}
	genuine := signer.JSON(t, message.Answer, bodyOf("bizData", ""))
	for name, open := range map[string]func(string) error{"answer": answer, "notification": notification, "alone": alone} {
		counter.asked = 0
		require.NoError(t, open(genuine), name)
		require.Positive(t, counter.asked, "%s: the key is the one that is counted", name)
	}

	stranger, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	forger := signer
	forger.Keys = &keys.Set{Sign: keys.NewPrivateKey(stranger, nil, &stranger.PublicKey, "a test")}
	sig := providertest.Text(t, providertest.Parse(t, genuine), "sign")
	refused := map[string]string{
		"no signature":                 bodyOf("bizData", ""),
		"a signature of another":       providertest.WithSign(t, bodyOf("bizData", `,"a":"1"`), sig),
		"a signature by a stranger":    forger.JSON(t, message.Answer, bodyOf("bizData", "")),
		"a signature that is no text":  strings.TrimSuffix(bodyOf("bizData", ""), "}") + `,"sign":1}`,
		"a signature that is garbage":  providertest.WithSign(t, bodyOf("bizData", ""), "%%%"),
		"a signature of the empty one": providertest.WithSign(t, bodyOf("bizData", ""), ""),
		"read in two ways":             signer.JSON(t, message.Answer, bodyOf("bizData", `,"a":"1&oriOrgTrace=T2"`)),
	}
	counter.asked = 0
	for name, text := range refused {
		for kind, open := range map[string]func(string) error{"answer": answer, "notification": notification, "alone": alone} {
			assert.Error(t, open(text), "%s: %s", kind, name)
			assert.Zero(t, counter.asked, "%s: %s", kind, name)
		}
	}
	// The genuine answer to another order is not opened either.
	other := strings.Replace(bodyOf("bizData", ""), "T1", "T2", 1)
	assert.Equal(t, scheme.Mismatch, scheme.ReasonOf(answer(signer.JSON(t, message.Answer, other))))
	assert.Zero(t, counter.asked)
	// Nor is a notification with both parts.
	both := strings.TrimSuffix(genuine, "}") + `,"data":{}}`
	assert.Error(t, notification(both))
	assert.Zero(t, counter.asked)
	_, err = body.Parse([]byte(strings.Replace(genuine, `"oriOrgTrace"`, `"oriOrgTrac\u0065":"T2","oriOrgTrace"`, 1)))
	assert.ErrorIs(t, err, body.ErrDuplicate)
}

package proxy_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// The log entry of an answer whose signature does not verify says why, and holds
// nothing of the answer, of its signature or of the keys.
func TestDiagnosisInTheLog(t *testing.T) {
	const amount, account = "8844002217", "6222021234567890"
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	members := map[string]string{"oriOrgTrace": "ORG0000720220224031331542213", "transAmt": amount, "account": account}
	genuine := signBizData(t, d.keys.Sign, members)
	signature := memberOf(t, genuine, "sign")
	bySHA1 := func() string {
		sum := sha1.Sum([]byte("account=" + account + "&oriOrgTrace=ORG0000720220224031331542213&transAmt=" + amount))
		raw, err := d.keys.Sign.Sign(rand.Reader, sum[:], crypto.SHA1)
		require.NoError(t, err)
		return bare64(raw)
	}()
	byMerchant := signBizData(t, merchantKey(t).Signer, members)
	const key = "the key is right, "
	for name, test := range map[string]struct {
		answer []byte
		want   string
	}{
		"padding lost":     {replaceOnce(t, genuine, signature, strings.TrimRight(signature, "=")), "the signature has lost its padding (=); apart from that it is right"},
		"another hash":     {replaceOnce(t, genuine, signature, bySHA1), "the key and the text are right, but the signature is rsa-sha1 and the recipe has rsa-sha256"},
		"another value":    {replaceOnce(t, genuine, amount, "8844002299"), key + "but the provider has signed another text than ours"},
		"a member more":    {replaceOnce(t, genuine, `"bizData":{`, `"bizData":{"6217000012345678":"1",`), key + "and the provider has signed the text without part 1 of 4"},
		"our own key":      {byMerchant, "the signature was made with the key that stands in the role your own sign"},
		"not Base64":       {replaceOnce(t, genuine, signature, "6217000012345678<>"), "the signature is not base64, which the recipe expects"},
		"a shorter key":    {replaceOnce(t, genuine, signature, bare64([]byte("6217000012345678"))), "the signature has 128 bits, and no key that verifies has this size"},
		"a key of nobody":  {replaceOnce(t, genuine, signature, bare64(bytes.Repeat([]byte("6"), 128))), "no key of this set has made the signature"},
		"a genuine answer": {genuine, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing, test.answer) }))
			before := len(s.Logs.Message("exchange failed"))
			answer := s.post(sample(t))
			if test.want == "" {
				s.ok(t, answer)
				assert.Len(t, s.Logs.Message("exchange failed"), before)
				return
			}
			failed := s.Logs.Message("exchange failed")
			require.Len(t, failed, before+1)
			got := failed[before]
			assert.Equal(t, "response_signature_invalid", got.String("reason"))
			assert.Contains(t, got.String("diagnosis"), test.want)
			assert.NotContains(t, string(answer.Body), "diagnosis", "the client does not get it")
		})
	}
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing, []byte(`{"bizData":{}}`)) }))
	s.post(sample(t))
	failed := s.Logs.Message("exchange failed")
	assert.Equal(t, "response_unsigned", failed[len(failed)-1].String("reason"))
	assert.NotContains(t, failed[len(failed)-1], "diagnosis", "there is no signature")

	log := s.Logs.Text()
	for _, value := range []string{amount, "8844002299", account, "6217000012345678", "666666666666"} {
		assert.NotContains(t, log, value)
	}
	for _, sign := range []string{signature, bySHA1, memberOf(t, byMerchant, "sign")} {
		assert.NotContains(t, log, sign[:16])
		assert.NotContains(t, log, hexOf(t, sign)[:16])
	}
	for _, side := range []string{"merchant", "provider"} {
		assertNoKeys(t, log, filepath.Join(testcaddy.DevKeys(side), "easypay", organisation))
	}
}

func memberOf(t *testing.T, text []byte, name string) string {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	return members[name].(string)
}

func hexOf(t *testing.T, signature string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(signature)
	require.NoError(t, err)
	return hex.EncodeToString(raw)
}

// assertNoKeys looks for any line of the keys in a folder, public ones too, and for
// what is in them.
func assertNoKeys(t *testing.T, log, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
				assert.NotContains(t, log, line[:16], f.Name())
			}
		}
		if block, _ := pem.Decode(text); block != nil {
			assert.NotContains(t, log, hex.EncodeToString(block.Bytes[len(block.Bytes)/2:])[:32], f.Name())
		}
	}
}

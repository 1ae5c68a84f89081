package observe_test

import (
	"crypto"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// genuine returns a notification of easypay, signed with a provider's key.
func genuine(t *testing.T, keyFile string, members map[string]string) []byte {
	t.Helper()
	text, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	require.NotNil(t, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	var pieces []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		pieces = append(pieces, name+"="+members[name])
	}
	digest := sha256.Sum256([]byte(strings.Join(pieces, "&")))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, digest[:])
	require.NoError(t, err)
	body, err := json.Marshal(map[string]any{"bizData": members, "sign": signature})
	require.NoError(t, err)
	return body
}

// jeepayMD5 returns the signature of a jeepay notification's string.
func jeepayMD5(text string) string {
	sum := md5.Sum([]byte(text + "key=" + sharedSecret))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// providerKey is the provider's development key.
var providerKey = filepath.Join(repository, "keys-dev/provider", merchant, "sign.pem")

func TestAuditHasOneEntryANotification(t *testing.T) {
	s := start(t, global(auditTo(auditFile))+
		app(notify("/notify", "profile west", "once 1m"), strings.Replace(notify("/failing"), "respond ok", "respond 503", 1))+watching())
	body := genuine(t, providerKey, map[string]string{"oriOrgTrace": "1", "transAmt": "100"})
	require.Equal(t, http.StatusOK, s.post("/notify", body).status)
	require.Equal(t, http.StatusOK, s.post("/notify", body).status)
	forged := s.post("/notify", []byte(strings.Replace(string(body), `"100"`, `"900"`, 1)))
	require.Equal(t, http.StatusUnauthorized, forged.status)
	require.Equal(t, http.StatusServiceUnavailable, s.post("/failing", body).status)

	all := s.entries()
	require.Len(t, all, 4)
	slices.Sort(auditFields)
	for i, outcome := range []string{"ok", "repeated", "notification_signature_invalid", "application_failed"} {
		e := all[i]
		assert.Equal(t, auditFields, e.names(), outcome)
		assert.Equal(t, "http.countersign.audit", e["logger"])
		assert.Equal(t, outcome, e["outcome"])
		assert.Equal(t, merchant, e["reference"])
		assert.Greater(t, e["open_ms"], 0.0)
		assert.Zero(t, e["seal_ms"])
	}
	assert.Equal(t, "west", all[0]["profile"])
	assert.EqualValues(t, len(body), all[0]["request_bytes"])
	assert.EqualValues(t, len("ok"), all[0]["response_bytes"])
	assert.EqualValues(t, http.StatusOK, all[0]["upstream_status"])
	assert.Greater(t, all[0]["upstream_ms"], 0.0)
	assert.Len(t, all[0]["key_fingerprints"], 1)
	assert.Regexp(t, `^[0-9a-f]{64}$`, all[0]["canonical_sha256"])
	assert.Equal(t, all[0]["canonical_sha256"], all[1]["canonical_sha256"], "a repeat is recognised by it")
	assert.Contains(t, forged.body, `"id":"`+all[2]["id"].(string)+`"`)
	assert.EqualValues(t, http.StatusServiceUnavailable, all[3]["upstream_status"])
	for outcome, n := range map[string]int{"ok": 1, "repeated": 1, "notification_signature_invalid": 1} {
		assert.Equal(t, n, s.count("caddy_countersign_notifications_total", "profile", "west", "outcome", outcome), outcome)
	}
}

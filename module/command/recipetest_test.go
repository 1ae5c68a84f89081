package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recipe test opens genuine messages of every kind and attacks them; one that does
// not verify, and a recipe that lets a part through which it says it signs, end with
// the status 1.
func TestRecipeTest(t *testing.T) {
	providers := "../providers/"
	for name, args := range map[string][]string{
		"an answer":        {"alipay", "--keys", providers + "alipay/keys", "--ref", "test/answer", providers + "alipay/messages/answer.http"},
		"a form":           {"jsb", "--keys", providers + "jsb/keys", "--ref", "test/answer-scan", providers + "jsb/messages/answer-scan.http"},
		"a notification":   {"stripe", "--keys", providers + "stripe/keys", "--ref", "test/notification", "--at", "2023-11-14T22:13:20Z", providers + "stripe/messages/notification.http"},
		"a request in XML": {"wechatpay-v2", "--keys", providers + "wechatpay-v2/keys", "--ref", "test/request-md5", "--as", "request", providers + "wechatpay-v2/messages/request-md5.http"},
	} {
		got := caddy(t, "", append([]string{"recipe", "test"}, args...)...)
		assert.Equal(t, 0, got.status, "%s: %s%s", name, got.stdout, got.stderr)
		assert.NotContains(t, got.stdout, "WRONG", name)
		assert.Greater(t, strings.Count(got.stdout, "refused"), 10, name)
		assert.Contains(t, got.stdout, "passed: it is not signed", name)
	}

	// A message that was changed.
	genuine, err := os.ReadFile(providers + "stripe/messages/notification.http")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "changed.http")
	require.NoError(t, os.WriteFile(file, append(genuine, ' '), 0o600))
	got := caddy(t, "", "recipe", "test", "stripe", "--keys", providers+"stripe/keys", "--ref", "test/notification", "--at", "2023-11-14T22:13:20Z", file)
	assert.Equal(t, 1, got.status)
	assert.Contains(t, got.stdout, "WRONG")
}

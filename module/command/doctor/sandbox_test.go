package doctor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keysource"
)

// A sandbox that is made from a recipe is called what it is, and one with other
// options than the sidecar's is warned of.
func TestASandboxOfARecipe(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "wx"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "wx", "secret"), []byte("0123456789abcdef0123456789abcdef"), 0o600))
	config := func(option string) string {
		return fmt.Sprintf(`{
	admin off
	persist_config off
	countersign {
		keys file %s
	}
}
http://127.0.0.1:18080 {
	bind 127.0.0.1
	countersign wechatpay-v2 127.0.0.1:18090 {
		keys wx
		sign_type HMAC-SHA256
	}
}
http://127.0.0.1:18090 {
	bind 127.0.0.1
	countersign_sandbox wechatpay-v2 {
		keys wx
		%s
	}
}
`, dir, option)
	}
	findings := examine(t, config("sign_type HMAC-SHA256"))
	assert.Contains(t, find(t, findings, "sandbox", "countersign_sandbox wechatpay-v2").Reason, "made from the same recipe")
	for _, f := range findings {
		assert.False(t, f.Check == "sandbox" && f.Status == keysource.Warning, f.Reason)
	}

	warned := false
	for _, f := range examine(t, config("")) {
		warned = warned || f.Check == "sandbox" && f.Status == keysource.Warning
	}
	assert.True(t, warned)
}

package observe_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

// A second start with the same Caddyfile is refused before it has taken anything from
// the first one: that one answers, and is reloaded over its admin socket.
func TestASecondStartLeavesTheFirstAlone(t *testing.T) {
	config := global("") + app(short("/short", provider)) + providers() + watching()
	s := start(t, config)
	second := process.Command(t, s.Dir, "run", "--config", s.Path("Caddyfile"), "--adapter", "caddyfile")
	second.Dir = s.Dir
	text, err := second.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(text), "another process listens on ")
	assert.Equal(t, http.StatusOK, s.post("/short/ledger/mpos", sample(t, "easypay")).status)
	assert.Equal(t, http.StatusOK, s.reload(strings.Replace(config, "grace_period 5s", "grace_period 4s", 1)).status)
}

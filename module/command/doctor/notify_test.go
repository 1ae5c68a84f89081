package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keysource"
)

// What the example of notifications recommends as its address leaves no host name for
// which a notification is an empty 200: that is an acknowledgement.
func TestTheAddressThatNotificationsRecommend(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(development, "..", "caddyfiles", "notify.Caddyfile"))
	require.NoError(t, err)
	found := regexp.MustCompile(`COUNTERSIGN_SITE="([^"]*)"`).FindSubmatch(text)
	require.NotNil(t, found)
	t.Setenv("COUNTERSIGN_KEYS", filepath.Join(development, "merchant"))
	for site, want := range map[string]keysource.Status{string(found[1]): keysource.OK, "https://pay.example.com": keysource.Failure} {
		t.Setenv("COUNTERSIGN_SITE", site)
		assert.Equal(t, want, find(t, examine(t, string(text)), "routes", "").Status, site)
	}
}

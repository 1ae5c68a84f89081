package app_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

func init() {
	caddy.RegisterModule(new(needy))
	httpcaddyfile.RegisterHandlerDirective("needy", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return new(needy), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("needy", httpcaddyfile.Before, "respond")
}

// storeIsThere is whether the store of needy answers.
var storeIsThere atomic.Bool

// needy is a handler that needs a store.
type needy struct{}

func (*needy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.needy", New: func() caddy.Module { return new(needy) }}
}

func (*needy) Provision(ctx caddy.Context) error {
	a, err := app.Of(ctx)
	if err == nil {
		a.ProbeAtStart("store of the test", func(context.Context) error {
			if !storeIsThere.Load() {
				return errors.New("nobody is there")
			}
			return nil
		})
	}
	return err
}

func (*needy) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// A store that is away when the configuration starts is in the log and in the
// readiness, until it answers. What is loaded alone does not wait for it.
func TestAStoreThatIsAwayAtStart(t *testing.T) {
	storeIsThere.Store(false)
	address, loaded := testcaddy.FreeAddress(t), testcaddy.FreeAddress(t)
	text := keysCaddyfile(address, testcaddy.DevKeys("merchant"), "easypay/ORG000000000007") +
		strings.Replace(strings.SplitN(keysCaddyfile(loaded, "x"), "}\nhttp://", 2)[1], loaded, "http://"+loaded, 1)
	text = strings.Replace(text, "handle @ready", "needy\n\thandle @ready", 1)
	text = strings.Replace(text, "http://"+loaded+" {\n	bind 127.0.0.1\n\n	@ready countersign_ready", "http://"+loaded+" {\n	bind 127.0.0.1\n\n	@ready countersign_ready loaded_only", 1)
	c, err := testcaddy.Start(t, text)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return ready(t, loaded) }, 10*time.Second, 10*time.Millisecond)
	entries := c.Logs.Wait(t, 1, func(e testcaddy.Entry) bool { return e.String("store") == "store of the test" })
	assert.Equal(t, "error", entries[0].String("level"))
	assert.Equal(t, "nobody is there", entries[0].String("error"))
	assert.False(t, ready(t, address))

	storeIsThere.Store(true)
	require.Eventually(t, func() bool { return ready(t, address) }, 20*time.Second, 10*time.Millisecond)
}

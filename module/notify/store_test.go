package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/stores"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
)

func init() {
	caddy.RegisterModule(new(brokenStore))
	caddy.RegisterModule(new(panicking))
	httpcaddyfile.RegisterHandlerDirective("test_panic", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(panicking), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_panic", httpcaddyfile.Before, "reverse_proxy")
}

// panicking is an application that panics.
type panicking struct{}

func (*panicking) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_panic", New: func() caddy.Module { return new(panicking) }}
}

func (*panicking) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error {
	panic("the application panics")
}

// brokenStore fails where its name says.
type brokenStore struct {
	Where string `json:"where"`
}

var errBroken = errors.New("the store is broken")

func (*brokenStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "countersign.stores.broken", New: func() caddy.Module { return new(brokenStore) }}
}

func (s *brokenStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&s.Where) {
		return d.ArgErr()
	}
	return nil
}

func (s *brokenStore) Claim(context.Context, string, string, time.Duration) (stores.State, *stores.Answer, error) {
	if s.Where == "claim" {
		return stores.Claimed, nil, errBroken // the error counts
	}
	return stores.Claimed, nil, nil
}

func (*brokenStore) Finish(context.Context, string, string, *stores.Answer, time.Duration) error {
	return errBroken
}

func (*brokenStore) Release(context.Context, string, string) error { return errBroken }

func TestABrokenStore(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	t.Run("nobody knows whether it is a repeat", func(t *testing.T) {
		c := serve(t, s.directive("once 1h broken claim")+app.proxy())
		g := c.post(t, s.genuine(t))
		assert.Equal(t, http.StatusServiceUnavailable, g.status)
		assert.Equal(t, "store_unavailable", g.code(t))
		assert.Empty(t, app.calls(), "the application is not called")
		assert.NotContains(t, g.body, errBroken.Error())
		c.says(t, errBroken.Error())
	})
	t.Run("the answer cannot be remembered", func(t *testing.T) {
		c := serve(t, s.directive("once 1h broken finish")+app.proxy())
		g := c.post(t, s.genuine(t))
		assert.Equal(t, http.StatusOK, g.status, "the application has acknowledged")
		assert.Equal(t, "ok", g.body)
		assert.Len(t, app.calls(), 1)
		c.says(t, errBroken.Error())
	})
	t.Run("the claim cannot be given back", func(t *testing.T) {
		app.answers(status(http.StatusInternalServerError, ""))
		c := serve(t, s.directive("once 1h broken release")+app.proxy())
		assert.Equal(t, http.StatusInternalServerError, c.post(t, s.genuine(t)).status)
		c.says(t, errBroken.Error())
	})
}

// Two replicas that share a Redis call their applications once between them.
func TestRedis(t *testing.T) {
	server := redistest.Start(t)
	s := sides[1]
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		says("success")(w, r)
	})
	// A timeout of its own gives each site a client of its own, as two
	// replicas have.
	site := ""
	for i, target := range []string{"/a", "/b"} {
		site += "handle " + target + " {\n" + s.directive(fmt.Sprintf("profile east\n once 1h redis %s {\n timeout %ds\n }", server.URL(), 2+i)) + app.proxy() + "}\n"
	}
	c := serve(t, site)
	note := s.genuine(t)
	var all sync.WaitGroup
	for i := range 10 {
		note := note
		note.target = []string{"/a", "/b"}[i%2]
		all.Go(func() {
			g, err := c.try(t, note)
			assert.NoError(t, err)
			assert.Equal(t, http.StatusOK, g.status)
			assert.Equal(t, "success", g.body)
		})
	}
	all.Wait()
	assert.Len(t, app.calls(), 1)

	server.Stop()
	note.target = "/a"
	g := c.post(t, note)
	assert.Equal(t, "store_unavailable", g.code(t))
	assert.Empty(t, app.calls())
	assert.NotContains(t, g.body, server.Address)

	server.Restart(t) // it has forgotten everything
	require.Eventually(t, func() bool { return c.post(t, note).status == http.StatusOK }, 10*time.Second, 50*time.Millisecond)
	assert.Len(t, app.calls(), 1)
}

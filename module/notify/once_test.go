package notify_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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

// profile is a name that no other test has: the memory is the process's.
var profiles atomic.Int64

func profile() string { return fmt.Sprintf("profile-%d", profiles.Add(1)) }

// once is the option with a memory of its own.
func once(more string) string { return "\t\tprofile " + profile() + "\n\t\tonce 1h\n" + more }

// eachOnce is each with a memory of its own for each provider.
func eachOnce(t *testing.T, more string, test func(t *testing.T, s side, c *running, app *application)) {
	t.Helper()
	for _, s := range sides {
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says(s.acknowledgement()))
			test(t, s, serve(t, s.directive(once(more))+app.proxy()), app)
		})
	}
}

func TestRepeated(t *testing.T) {
	eachOnce(t, "", func(t *testing.T, s side, c *running, app *application) {
		app.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/vnd.example")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(" " + s.acknowledgement() + "\r\n"))
		})
		note := s.genuine(t)
		first := c.post(t, note)
		require.Equal(t, http.StatusCreated, first.status)
		require.Len(t, app.calls(), 1)

		app.answers(says("another answer"))
		for range 3 {
			again := c.post(t, note)
			assert.Equal(t, first.status, again.status)
			assert.Equal(t, first.body, again.body)
			assert.Equal(t, "text/vnd.example", again.header.Get("Content-Type"))
		}
		assert.Empty(t, app.calls(), "the application is called once")

		// What is forged is not acknowledged because it looks like a repeat.
		forged := moved(t, s, note, s.another(t, "another"))
		assert.Equal(t, "notification_signature_invalid", c.post(t, forged).code(t))
		// Another order is another notification.
		app.answers(says(s.acknowledgement()))
		require.Equal(t, http.StatusOK, c.post(t, s.another(t, "another")).status)
		assert.Len(t, app.calls(), 1)
		assert.Equal(t, []string{"ok", "repeated", "repeated", "repeated", "notification_signature_invalid", "ok"}, c.outcomes(t))
		assert.Equal(t, http.StatusCreated, c.audit(t)[1].UpstreamStatus)
	})
}

// Without once every repeat reaches the application.
func TestRepeatedWithoutOnce(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		note := s.genuine(t)
		for range 3 {
			require.Equal(t, http.StatusOK, c.post(t, note).status)
		}
		assert.Len(t, app.calls(), 3)
	})
}

func TestConcurrentRepeats(t *testing.T) {
	eachOnce(t, "", func(t *testing.T, s side, c *running, app *application) {
		app.answers(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(150 * time.Millisecond)
			says(s.acknowledgement())(w, r)
		})
		note := s.genuine(t)
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				g, err := c.try(t, note)
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, g.status)
				assert.Equal(t, s.acknowledgement(), g.body)
			})
		}
		all.Wait()
		assert.Len(t, app.calls(), 1, "the application is called once")
		count := make(map[string]int)
		for _, o := range c.outcomes(t) {
			count[o]++
		}
		assert.Equal(t, map[string]int{"ok": 1, "repeated": 11}, count)
	})
}

// While the first is not acknowledged those who wait take turns.
func TestConcurrentRepeatsOfAFailure(t *testing.T) {
	s := sides[0]
	var calls, running, most atomic.Int64
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			continue
		}
		time.Sleep(20 * time.Millisecond)
		if calls.Add(1) < 3 {
			status(http.StatusInternalServerError, "not yet")(w, r)
			return
		}
		says("ok")(w, r)
	})
	c := serve(t, s.directive(once(""))+app.proxy())
	note := s.genuine(t)
	var all sync.WaitGroup
	var failed, acknowledged atomic.Int64
	for range 8 {
		all.Go(func() {
			g, err := c.try(t, note)
			assert.NoError(t, err)
			switch g.status {
			case http.StatusOK:
				acknowledged.Add(1)
			case http.StatusInternalServerError:
				failed.Add(1)
			}
		})
	}
	all.Wait()
	assert.Equal(t, int64(2), failed.Load())
	assert.Equal(t, int64(6), acknowledged.Load())
	assert.Equal(t, int64(3), calls.Load())
	assert.Equal(t, int64(1), most.Load(), "never two at once")
}

func TestInProgress(t *testing.T) {
	s := sides[0]
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("ok")(w, r)
	})
	c := serve(t, s.directive(once(""))+app.proxy())
	note := s.genuine(t)
	var first sync.WaitGroup
	first.Go(func() {
		g, err := c.try(t, note)
		assert.NoError(t, err)
		assert.Equal(t, http.StatusOK, g.status)
	})
	require.Eventually(t, func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.arrived) == 1
	}, 5*time.Second, 5*time.Millisecond)
	start := time.Now()
	g := c.post(t, note)
	assert.Equal(t, http.StatusServiceUnavailable, g.status)
	assert.Equal(t, "notification_in_progress", g.code(t))
	assert.Greater(t, time.Since(start), 4*time.Second, "it waits a little")
	close(release)
	first.Wait()
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Len(t, app.calls(), 1)
	assert.Equal(t, []string{"notification_in_progress", "ok", "repeated"}, c.outcomes(t))
}

// What counts as acknowledged.
func TestAck(t *testing.T) {
	for _, test := range []struct {
		name, options string
		side          int
		answer        http.HandlerFunc
		remembered    bool
		outcome       string
	}{
		{"easypay takes any 2xx", "", 0, says("fail"), true, "ok"},
		{"an empty answer is one", "", 0, status(http.StatusNoContent, ""), true, "ok"},
		{"a client error is none", "", 0, status(http.StatusConflict, "ok"), false, "ok not_acknowledged"},
		{"a redirect is none", "", 0, status(http.StatusFound, "ok"), false, "ok not_acknowledged"},
		{"a server error is none", "", 0, status(http.StatusServiceUnavailable, "ok"), false, "application_failed"},
		{"a PHP application that says fail", "", 1, says("fail"), false, "ok not_acknowledged"},
		{"jeepay wants success", "", 1, says("success"), true, "ok"},
		{"white space around it is none of it", "", 1, says("\n success \r\n"), true, "ok"},
		{"case is", "", 1, says("SUCCESS"), false, "ok not_acknowledged"},
		{"more is not it", "", 1, says("success!"), false, "ok not_acknowledged"},
		{"nothing is not it", "", 1, says(""), false, "ok not_acknowledged"},
		{"the text with an error", "", 1, status(http.StatusBadRequest, "success"), false, "ok not_acknowledged"},
		{"hongwen wants success", "", 3, says("ok"), false, "ok not_acknowledged"},
		{"a text of one's own", "ack \"{code: 0}\"", 0, says("{code: 0}"), true, "ok"},
		{"a text of one's own instead of success", "ack done", 1, says("done"), true, "ok"},
		{"then success is none", "ack done", 1, says("success"), false, "ok not_acknowledged"},
		{"an answer that is too large to be it", "", 1, says("success" + strings.Repeat(" ", 70<<10)), false, "ok not_acknowledged"},
		{"an answer that is too large to be remembered", "", 0, says(strings.Repeat("x", 70<<10)), false, "ok"},
		{"the largest that is remembered", "", 0, says(strings.Repeat("x", 64<<10)), true, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sides[test.side]
			app := newApplication(t, test.answer)
			c := serve(t, s.directive(once(test.options))+app.proxy())
			note := s.genuine(t)
			first := c.post(t, note)
			second := c.post(t, note)
			assert.Equal(t, first.status, second.status)
			assert.Equal(t, first.body, second.body)
			want := []string{test.outcome, test.outcome}
			if test.remembered {
				want[1] = "repeated"
			}
			assert.Equal(t, want, c.outcomes(t))
			assert.Len(t, app.calls(), map[bool]int{true: 1, false: 2}[test.remembered])
		})
	}
}

// An application that compresses acknowledges as well, and who repeats may not
// understand what the first one did.
func TestCompressedAcknowledgements(t *testing.T) {
	compress := func(force bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !force && !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				says("success")(w, r)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			out := gzip.NewWriter(w)
			_, _ = out.Write([]byte("success"))
			_ = out.Close()
		}
	}
	s := sides[1]
	app := newApplication(t, compress(false))
	c := serve(t, s.directive(once(""))+app.proxy())
	note := s.genuine(t)
	for _, encoding := range []string{"gzip", "identity", "br"} {
		note.header = http.Header{"Accept-Encoding": {encoding}}
		g := c.post(t, note)
		assert.Equal(t, "success", g.body)
		assert.Empty(t, g.header.Get("Content-Encoding"))
	}
	assert.Equal(t, []string{"ok", "repeated", "repeated"}, c.outcomes(t))

	// One that compresses without being asked is passed on, and not remembered.
	app.answers(compress(true))
	c = serve(t, s.directive(once(""))+"reverse_proxy "+strings.TrimPrefix(app.URL, "http://")+" {\n transport http {\n compression off\n }\n}\n")
	for range 2 {
		g := c.post(t, note)
		assert.Equal(t, http.StatusOK, g.status)
		assert.Equal(t, "gzip", g.header.Get("Content-Encoding"))
	}
	assert.Equal(t, []string{"ok not_acknowledged", "ok not_acknowledged"}, c.outcomes(t))
}

// An answer is remembered for as long as once says.
func TestOnceEnds(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("\t\tprofile "+profile()+"\n\t\tonce 300ms")+app.proxy())
	note := s.genuine(t)
	for range 2 {
		require.Equal(t, http.StatusOK, c.post(t, note).status)
	}
	require.Len(t, app.calls(), 1)
	time.Sleep(350 * time.Millisecond)
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Len(t, app.calls(), 1)
}

// A provider that hangs up does not keep the acknowledgement from being
// remembered.
func TestTheProviderHangsUp(t *testing.T) {
	s := sides[0]
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("ok")(w, r)
	})
	c := serve(t, s.directive(once(""))+app.proxy())
	note := s.genuine(t)
	conn, err := net.Dial("tcp", c.address)
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", c.address, len(note.body), note.body)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.arrived) == 1
	}, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, conn.Close())
	time.Sleep(50 * time.Millisecond) // for Caddy to see it
	close(release)
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Len(t, app.calls(), 1)
	assert.Equal(t, []string{"ok", "repeated"}, c.outcomes(t))
}

// A reload while the application is being asked loses neither the answer nor
// the memory.
func TestReload(t *testing.T) {
	s := sides[0]
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("ok")(w, r)
	})
	options := once("")
	c := serve(t, s.directive(options)+app.proxy())
	note := s.genuine(t)
	var first sync.WaitGroup
	first.Go(func() {
		g, err := c.try(t, note)
		assert.NoError(t, err)
		assert.Equal(t, http.StatusOK, g.status)
	})
	require.Eventually(t, func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.arrived) == 1
	}, 5*time.Second, 5*time.Millisecond)
	c.load(t, s.directive(options+"\n\t\tmax_request_body 2MiB")+app.proxy())
	var second sync.WaitGroup
	second.Go(func() {
		g, err := c.try(t, note)
		assert.NoError(t, err)
		assert.Equal(t, http.StatusOK, g.status)
		assert.Equal(t, "ok", g.body)
	})
	time.Sleep(100 * time.Millisecond)
	close(release)
	first.Wait()
	second.Wait()
	c.load(t, s.directive(options+"\n\t\tmax_request_body 3MiB")+app.proxy())
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Len(t, app.calls(), 1, "the application is called once")
}

// Two profiles, as two references, keep notifications apart.
func TestProfilesAreApart(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	a, b := once(""), once("")
	c := serve(t, "handle /a {\n"+s.directive(a)+app.proxy()+"}\nhandle /b {\n"+s.directive(b)+app.proxy()+"}\n")
	note := s.genuine(t)
	for _, target := range []string{"/a", "/b", "/a", "/b"} {
		note.target = target
		require.Equal(t, http.StatusOK, c.post(t, note).status)
	}
	assert.Len(t, app.calls(), 2)
	assert.Equal(t, []string{"ok", "ok", "repeated", "repeated"}, c.outcomes(t))
}

// panicking is an application that panics.
type panicking struct{}

func (*panicking) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_panic", New: func() caddy.Module { return new(panicking) }}
}

func (*panicking) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error {
	panic("the application panics")
}

func TestAPanicReleasesTheClaim(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	options := once("")
	c := serve(t, s.directive(options)+"\ttest_panic\n")
	note := s.genuine(t)
	_, err := c.try(t, note)
	require.Error(t, err, "the connection breaks")
	assert.Equal(t, []string{"application_failed"}, c.outcomes(t))
	c.load(t, s.directive(options)+app.proxy())
	start := time.Now()
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Less(t, time.Since(start), 2*time.Second)
	assert.Len(t, app.calls(), 1)
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
		assert.Contains(t, c.logged(t), errBroken.Error())
	})
	t.Run("the answer cannot be remembered", func(t *testing.T) {
		c := serve(t, s.directive("once 1h broken finish")+app.proxy())
		g := c.post(t, s.genuine(t))
		assert.Equal(t, http.StatusOK, g.status, "the application has acknowledged")
		assert.Equal(t, "ok", g.body)
		assert.Len(t, app.calls(), 1)
		assert.Contains(t, c.logged(t), errBroken.Error())
	})
	t.Run("the claim cannot be given back", func(t *testing.T) {
		app.answers(status(http.StatusInternalServerError, ""))
		c := serve(t, s.directive("once 1h broken release")+app.proxy())
		assert.Equal(t, http.StatusInternalServerError, c.post(t, s.genuine(t)).status)
		assert.Contains(t, c.logged(t), errBroken.Error())
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

package notify_test

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// profile is a name that no other test has: the memory is the process's.
var profiles atomic.Int64

func profile() string { return fmt.Sprintf("profile-%d", profiles.Add(1)) }

// once returns the option with a memory of its own.
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
		t.Helper()
		app.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/vnd.example")
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(s.acknowledgement()))
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
		t.Helper()
		note := s.genuine(t)
		for range 3 {
			require.Equal(t, http.StatusOK, c.post(t, note).status)
		}
		assert.Len(t, app.calls(), 3)
	})
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
		{"jeepay does not trim", "", 1, says("success\r\n"), false, "ok not_acknowledged"},
		{"white space around it is none of it", "", 3, says("\n success \r\n"), true, "ok"},
		{"jeepay compares in any case", "", 1, says("SUCCESS"), true, "ok"},
		{"hongwen does not", "", 3, says("SUCCESS"), false, "ok not_acknowledged"},
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
	s = sides[0]
	c = serve(t, s.directive(once(""))+"reverse_proxy "+strings.TrimPrefix(app.URL, "http://")+" {\n transport http {\n compression off\n }\n}\n")
	note = s.genuine(t)
	note.header = http.Header{"Accept-Encoding": {"br"}} // or this client undoes it
	for range 2 {
		assert.Equal(t, "gzip", c.post(t, note).header.Get("Content-Encoding"))
	}
	assert.Equal(t, []string{"ok", "ok"}, c.outcomes(t), "any 2xx acknowledges easypay's")
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

// Handlers that nobody has named are kept apart, in one server and in several, and
// after a reload each has its own memory still.
func TestHandlersWithoutANameAreApart(t *testing.T) {
	s := sides[0]
	apps := make(map[string]*application)
	for _, where := range []string{"/a", "/b", "/c"} {
		apps[where] = newApplication(t, says("from "+where))
	}
	other := testcaddy.FreeAddress(t)
	handle := func(where string) string {
		return "handle " + where + " {\n" + s.directive("\t\tonce 1h") + apps[where].proxy() + "}\n"
	}
	site := handle("/a") + handle("/b") + "}\nhttp://" + other + " {\n\tbind 127.0.0.1\n" + handle("/c")
	c := serve(t, site)
	elsewhere := &running{url: "http://" + other}
	note := s.genuine(t)
	for range 8 { // Caddy sets its servers up in another order each time
		for _, where := range []string{"/a", "/b", "/c"} {
			note.target = where
			to := c
			if where == "/c" {
				to = elsewhere
			}
			assert.Equal(t, "from "+where, to.post(t, note).body)
		}
		c.load(t, site)
	}
	for where, app := range apps {
		assert.Len(t, app.calls(), 1, where)
	}
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

package notify_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// raw returns an application that writes what it likes.
func raw(t *testing.T, answer string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, answer)
			}()
		}
	}()
	return ln.Addr().String()
}

// Whatever becomes of the application, the provider sends again: it gets a 5xx,
// nothing is remembered, and the next time the application is asked.
func TestTheApplicationFails(t *testing.T) {
	s := sides[0]
	closed := networktest.Address(t)
	for name, test := range map[string]struct {
		behind string
		code   string
	}{
		"down":                      {"reverse_proxy " + closed, "application_failed"},
		"switches protocols":        {"reverse_proxy " + raw(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), "application_failed"},
		"hangs up":                  {"reverse_proxy " + raw(t, ""), "application_failed"},
		"speaks no HTTP":            {"reverse_proxy " + raw(t, "4111111111111111\r\n\r\n"), "application_failed"},
		"breaks off its answer":     {"reverse_proxy " + raw(t, "HTTP/1.1 200 OK\r\nX-Application: yes\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\nok"), "application_failed"},
		"breaks off its chunks":     {"reverse_proxy " + raw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), "application_failed"},
		"no such handler":           {"error 404", "application_failed"},
		"error of a handler":        {"error 503", "application_failed"},
		"gateway timeout":           {"error 504", "application_timeout"},
		"too slow for Caddy":        {"reverse_proxy " + slow(t) + " {\n transport http {\n response_header_timeout 100ms\n }\n}", "application_timeout"},
		"too slow for timeout":      {"reverse_proxy " + slow(t), "application_timeout"},
		"gives up in its own words": {"test_wait", "application_timeout"},
		"no upstream available":     {"reverse_proxy " + closed + " " + closed + " {\n lb_try_duration 100ms\n}", "application_failed"},
		"a name that is nowhere":    {"reverse_proxy nowhere.invalid:80", "application_failed"},
	} {
		for kind, options := range map[string]string{"": "\t\ttimeout 300ms\n", " with once": once("\t\ttimeout 300ms\n")} {
			if kind == "" && strings.HasPrefix(name, "breaks off") {
				continue // below: part of the answer has left
			}
			t.Run(name+kind, func(t *testing.T) {
				c := serve(t, s.directive(options)+test.behind+"\n")
				note := s.genuine(t)
				for range 2 { // again, because nothing is remembered
					g := c.post(t, note)
					assert.Equal(t, test.code, g.code(t), g.body)
					assert.GreaterOrEqual(t, g.status, 500)
					assert.Empty(t, g.header.Get("Content-Encoding"), "nothing of the broken answer is left")
					assert.Empty(t, g.header.Get("X-Application"))
				}
				assert.Equal(t, []string{test.code, test.code}, c.outcomes(t))
				for line := range strings.Lines(c.logged(t)) {
					if strings.Contains(line, "countersign") && !strings.Contains(line, "http.handlers.reverse_proxy") {
						assert.NotContains(t, line, "4111111111111111")
					}
				}

				app := newApplication(t, says("ok"))
				c.load(t, s.directive(options+"\n\t\tmax_request_body 2MiB")+app.proxy())
				require.Equal(t, http.StatusOK, c.post(t, note).status)
				assert.Len(t, app.calls(), 1)
			})
		}
	}
}

// waiting is an application that gives up when its time is over, and does not
// say why.
type waiting struct{}

func init() {
	caddy.RegisterModule(new(waiting))
	httpcaddyfile.RegisterHandlerDirective("test_wait", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(waiting), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_wait", httpcaddyfile.Before, "reverse_proxy")
}

func (*waiting) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_wait", New: func() caddy.Module { return new(waiting) }}
}

func (*waiting) ServeHTTP(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	<-r.Context().Done()
	return errors.New("it gave up")
}

// slow returns an application that takes its time.
func slow(t *testing.T) string {
	t.Helper()
	done := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(done) })
	return strings.TrimPrefix(app.URL, "http://")
}

// An answer that broke off when a part of it had left is not an answer.
func TestAPassedAnswerBreaksOff(t *testing.T) {
	s := sides[0]
	c := serve(t, s.directive("")+"reverse_proxy "+raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")+"\n")
	_, err := c.try(t, s.genuine(t))
	require.ErrorContains(t, err, "EOF")
}

// Without once an answer passes as it comes.
func TestAnAnswerIsStreamed(t *testing.T) {
	s := sides[0]
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
	})
	c := serve(t, s.directive("")+"\treverse_proxy "+strings.TrimPrefix(app.URL, "http://")+" {\n flush_interval -1\n}\n")
	note := s.genuine(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, strings.NewReader(note.body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", note.contentType)
	res, err := provider.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	first := bufio.NewReader(res.Body)
	line, err := first.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "ok\n", line)
	assert.Equal(t, []string{"ok"}, c.outcomes(t), "the entry is written before the answer leaves")
	close(release)
	rest, err := io.ReadAll(first)
	require.NoError(t, err)
	assert.Len(t, rest, 100_000)
}

// With once a large answer is held back only so far.
func TestALargeAnswerPasses(t *testing.T) {
	s := sides[0]
	large := strings.Repeat("0123456789", 200_000)
	app := newApplication(t, says(large))
	c := serve(t, s.directive(once(""))+app.proxy())
	g := c.post(t, s.genuine(t))
	assert.Equal(t, http.StatusOK, g.status)
	assert.Equal(t, large, g.body)
	c.says(t, "an acknowledgement is too large")
}

// Informational answers of the application are for nobody.
func TestInformationalAnswersAreDropped(t *testing.T) {
	s := sides[0]
	c := serve(t, s.directive("")+"reverse_proxy "+raw(t, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")+"\n")
	conn, err := net.Dial("tcp", c.address)
	require.NoError(t, err)
	defer conn.Close()
	note := s.genuine(t)
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", c.address, len(note.body), note.body)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(text), "HTTP/1.1 200 OK\r\n"), string(text))
	assert.True(t, strings.HasSuffix(string(text), "\r\n\r\nok"))
}

// The site's handle_errors answers where it wants to; what failed is the same.
func TestHandleErrors(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("")+app.proxy()+`
	handle_errors 401 {
		respond "{http.countersign.reason} {http.countersign.outcome}." 401
	}
	`)
	note := s.genuine(t)
	g := c.post(t, moved(t, s, note, s.another(t, "another")))
	assert.Equal(t, http.StatusUnauthorized, g.status)
	assert.Equal(t, "notification_signature_invalid .", g.body)
	assert.Equal(t, "notification_invalid", c.post(t, sent{body: "{"}).code(t), "the others are answered as ever")
	assert.Empty(t, app.calls())
}

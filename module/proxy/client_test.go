package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource/file"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// send writes a whole request and returns the connection.
func (s *sidecar) send(t *testing.T, body []byte) net.Conn {
	t.Helper()
	conn := dial(t, s.url)
	_, err := fmt.Fprintf(conn, "POST /easypay/ledger/mpos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	require.NoError(t, err)
	return conn
}

// A client that hangs up once its request is on its way: the exchange runs on,
// and the log holds the provider's verdict.
func TestClientGone(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "timeout 1s")
	received, gone := make(chan bool), make(chan bool)
	waiting := func(answer func(c *testcaddy.Conn, r *testcaddy.Received)) func(*testcaddy.Conn) {
		return func(c *testcaddy.Conn) {
			if r := c.Request(); r != nil {
				received <- true
				<-gone
				time.Sleep(50 * time.Millisecond) // the sidecar sees the end of the client's connection
				answer(c, r)
			}
		}
	}
	genuine := func(f provider.Fault) func(c *testcaddy.Conn, r *testcaddy.Received) {
		return func(c *testcaddy.Conn, r *testcaddy.Received) {
			c.Answer(200, closing, easypayAnswer(d.keys, r, f).Body)
		}
	}
	hangUp := func(conn net.Conn) { _ = conn.Close() }
	halfClose := func(conn net.Conn) { _ = conn.(*net.TCPConn).CloseWrite() }
	reset := func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0); _ = conn.Close() }
	for name, c := range map[string]struct {
		leave   func(net.Conn)
		answer  func(*testcaddy.Conn, *testcaddy.Received)
		verdict string
	}{
		"answered":              {hangUp, genuine(""), "ok"},
		"reset, answered":       {reset, genuine(""), "ok"},
		"answered badly":        {hangUp, genuine(provider.Tampered), "response_signature_invalid"},
		"answered to another":   {hangUp, genuine(provider.Mismatch), "response_mismatch"},
		"connection lost":       {hangUp, func(c *testcaddy.Conn, _ *testcaddy.Received) { c.Reset() }, "upstream_failed"},
		"never answered":        {hangUp, func(*testcaddy.Conn, *testcaddy.Received) { time.Sleep(2 * time.Second) }, "upstream_timeout"},
		"HTML":                  {hangUp, func(c *testcaddy.Conn, _ *testcaddy.Received) { c.Answer(200, closing, []byte("<h1>")) }, "response_invalid"},
		"only its writing side": {halfClose, genuine(""), "ok"},

		"only its writing side, tampered": {halfClose, genuine(provider.Tampered), "response_signature_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			d.set(waiting(c.answer))
			conn := s.send(t, sample(t))
			defer conn.Close()
			<-received
			c.leave(conn)
			gone <- true
			s.asked++
			entry := s.Logs.Audit(t, s.asked)
			assert.Equal(t, "client_gone", entry.String("outcome"))
			assert.Equal(t, c.verdict, entry.String("verdict"))
			access := s.Logs.Access(t, s.asked)
			assert.Equal(t, entry.String("id"), access.String("countersign_id"))
			if strings.HasPrefix(name, "reset") {
				assert.InDelta(t, 499, access.Number("status"), 0)
			}
			if want, ok := map[string]int{"only its writing side": 200, "only its writing side, tampered": 502}[name]; ok {
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				defer res.Body.Close()
				assert.Equal(t, want, res.StatusCode, "it gets its answer")
				assert.Equal(t, want == 200, res.Header.Get("Countersign-Verified") == "true")
				text, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				assert.NotEmpty(t, text)
			}
		})
	}
	s.ok(t, func() *testcaddy.Answer { d.set(d.genuine); return s.post(sample(t)) }())
}

// A client that closes its sending side with the last byte of its request, and reads
// on, gets its answer, also while the keys are still being loaded.
func TestClientThatClosesItsSendingSideAtOnce(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	for range 21 {
		conn := s.send(t, sample(t))
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, 200, res.StatusCode, "%s", text)
		assert.Equal(t, "true", res.Header.Get("Countersign-Verified"))
		_ = res.Body.Close()
		_ = conn.Close()
	}
	assert.Equal(t, 21, d.Delivered())
}

// A client that announces too large a body and sends nothing of it gets its answer, and
// the connection ends: the server reads some of a body before it answers, for which there
// is no more time than for a whole one.
func TestClientThatAnnouncesTooMuch(t *testing.T) {
	t.Parallel()
	s := startSidecar(t, newDouble(t).Address, "")
	conn := dial(t, s.url)
	_, err := fmt.Fprint(conn, "POST /easypay/ledger/mpos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}

// A client that hangs up before anything left is no client_gone: nothing was
// sent, and the log says so.
func TestClientGoneBeforeTheFirstByte(t *testing.T) {
	upstream := full(t)
	s := startSidecar(t, upstream, "dial_timeout 300ms")
	conn := s.send(t, sample(t))
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, conn.Close())
	s.asked++
	entry := s.Logs.Audit(t, s.asked)
	assert.Equal(t, "upstream_unreachable", entry.String("outcome"))
	assert.Empty(t, entry.String("verdict"))
}

// max_in_flight: beyond it a request is answered at once, in both forms, and
// the places are given back however an exchange ends.
func TestMaxInFlight(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, upstream string) *sidecar{
		"short form": func(t *testing.T, upstream string) *sidecar {
			t.Helper()
			return startSidecar(t, upstream, "max_in_flight 2\ntimeout 20s")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t)
			release := make(chan bool)
			var holding atomic.Int64
			d.set(func(c *testcaddy.Conn) {
				if r := c.Request(); r != nil {
					holding.Add(1)
					<-release
					holding.Add(-1)
					c.Answer(200, closing, easypayAnswer(d.keys, r, "").Body)
				}
			})
			s := start(t, d.Address)
			answers := make(chan int, 2)
			for range 2 {
				go func() {
					answer, err := testcaddy.TryPost(t.Context(), s.url, sample(t))
					if assert.NoError(t, err) {
						answers <- answer.Status
					}
				}()
			}
			require.Eventually(t, func() bool { return holding.Load() == 2 }, 5*time.Second, time.Millisecond)
			for range 3 {
				begin := time.Now()
				s.problem(t, s.post(sample(t)), notSent("overloaded", 503, "max_in_flight"))
				assert.Less(t, time.Since(begin), 10*time.Second)
			}
			assert.Equal(t, 2, d.Delivered())
			close(release)
			for range 2 {
				assert.Equal(t, 200, <-answers)
			}
			s.asked += 2
			// Failures give their places back as well.
			for range 5 {
				s.problem(t, s.post([]byte("x")), notSent("invalid_request", 400, ""))
			}
			d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Reset() }))
			for range 5 {
				s.problem(t, s.post(sample(t)), unknown("upstream_failed", 502))
			}
			d.set(d.genuine)
			for range 5 {
				s.ok(t, s.post(sample(t)))
			}
		})
	}
}

func init() {
	caddy.RegisterModule(new(held))
}

// held is a source of files that does not answer before keysCome is closed.
type held struct{ file.Source }

var keysCome chan struct{}

func (*held) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "countersign.keys.held", New: func() caddy.Module { return new(held) }}
}

func (h *held) Load(ctx context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	<-keysCome
	return h.Source.Load(ctx, reference, previous)
}

// A client that leaves while its keys are still being loaded says nothing about the
// provider.
func TestAClientThatLeavesBeforeTheKeysAreLoaded(t *testing.T) {
	d := newDouble(t)
	keysCome = make(chan struct{})
	text := sidecarText("ADDRESS", d.Address, "reverse_proxy {\nfail_duration 30s\nmax_fails 1\n}")
	s := runText(t, strings.Replace(text, "keys file", "keys held", 1))
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	_, err := testcaddy.TryPost(ctx, s.url, sample(t))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, "keys_unavailable", s.Logs.Audit(t, 1).String("outcome"))
	close(keysCome)
	s.Logs.Wait(t, 1, func(e testcaddy.Entry) bool { return e.String("msg") == "keys loaded" }) // until then the answer is a 503, at once
	answer := testcaddy.Post(t, s.url, sample(t))
	assert.Equal(t, 200, answer.Status, "%s", answer.Body)
}

// Clients that leave before it is their turn say nothing about the provider.
func TestImpatientClientsDoNotCountAgainstTheProvider(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "reverse_proxy {\nfail_duration 30s\nmax_fails 1\n}")
	var leaving sync.WaitGroup
	for n := range 64 {
		leaving.Go(func() {
			ctx, leave := context.WithTimeout(t.Context(), time.Duration(2+n%15)*time.Millisecond)
			defer leave()
			_, _ = testcaddy.TryPost(ctx, s.url, sample(t))
		})
	}
	leaving.Wait()
	answer := testcaddy.Post(t, s.url, sample(t))
	assert.Equal(t, 200, answer.Status, "%s", answer.Body)
	logged := -1 // all of it is in this test's log before it ends
	require.Eventually(t, func() bool {
		before := logged
		logged = len(s.Logs.Text())
		return logged == before
	}, 10*time.Second, 100*time.Millisecond)
}

// A body of which a byte comes now and then holds no place, and not the connection
// for good.
func TestSlowBodies(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_in_flight 1")
	conn := dial(t, s.url)
	defer conn.Close()
	_, err := fmt.Fprintf(conn, "POST /easypay/ledger/mpos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
	require.NoError(t, err)
	stop := make(chan bool)
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
				_, _ = conn.Write([]byte(" "))
			}
		}
	})
	defer writing.Wait()
	defer close(stop)
	s.ok(t, s.post(sample(t))) // meanwhile
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(40*time.Second)))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "it is cut off")
	defer res.Body.Close()
	assert.Equal(t, 400, res.StatusCode)
	assert.Equal(t, "not_sent", res.Header.Get("Countersign-Outcome"))
	assert.Equal(t, 1, d.Delivered())
}

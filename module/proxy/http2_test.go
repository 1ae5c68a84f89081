package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// HTTP/2 over TLS, as providers' load balancers speak it, where it is asked for;
// HTTP/1.1 otherwise.
func TestHTTP2(t *testing.T) {
	ca := testcaddy.NewCA(t)
	held := providerKeys(t)
	var protocol atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol.Store(r.Proto)
		text, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.EqualValues(t, len(text), r.ContentLength)
		w.Header().Set("Trailer", "X-Trailer")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(easypayAnswer(held, &testcaddy.Received{Target: r.RequestURI, Header: r.Header, Body: text}, "").Body)
		w.Header().Set("X-Trailer", "x")
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}
	server.StartTLS()
	defer server.Close()
	for versions, want := range map[string]string{"": "HTTP/1.1", "versions 1.1 2": "HTTP/2.0", "versions 2": "HTTP/2.0"} {
		t.Run(versions, func(t *testing.T) {
			s := startSidecar(t, server.URL, "http {\n tls_trust_pool file "+ca.File+"\n"+versions+"\n}")
			for range 3 {
				answer, interim := s.postRaw(sample(t))
				s.ok(t, answer)
				assert.Empty(t, interim)
				assert.Empty(t, answer.Header.Get("X-Trailer"))
				assert.Equal(t, want, protocol.Load())
			}
		})
	}
}

// framer is a provider that speaks HTTP/2 by its frames.
type framer struct {
	*http2.Framer

	conn     io.ReadWriter
	number   int    // of the connection, from 1
	last     uint32 // the last stream that was answered
	requests int    // on this connection
	goodbye  uint32 // the last stream that GOAWAY says is processed
}

// speak reads the frames of a connection, and calls handle for each request that is
// there whole, until it fails.
func (f *framer) speak(handle func(f *framer, stream uint32, body []byte) error) {
	if _, err := io.ReadFull(f.conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f.Framer = http2.NewFramer(f.conn, f.conn)
	if f.WriteSettings() != nil {
		return
	}
	bodies := make(map[uint32]*bytes.Buffer)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			bodies[frame.StreamID] = new(bytes.Buffer)
		case *http2.DataFrame:
			if body := bodies[frame.StreamID]; body != nil {
				body.Write(frame.Data())
				if frame.StreamEnded() {
					f.requests++
					err = handle(f, frame.StreamID, body.Bytes())
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// answer returns a genuine answer.
func (f *framer) answer(held provider.Keys, stream uint32, body []byte) error {
	text := easypayAnswer(held, &testcaddy.Received{Target: "/ledger/mpos", Header: http.Header{}, Body: body}, "").Body
	var header bytes.Buffer
	e := hpack.NewEncoder(&header)
	_ = e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = e.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/json"})
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	f.last = stream
	return f.WriteData(stream, true, text)
}

// framed starts a provider that speaks by frames, with TLS or without, and a
// sidecar that sends to it with HTTP/2.
func framed(t *testing.T, encrypted bool, options string, handle func(f *framer, stream uint32, body []byte) error) (*sidecar, *testcaddy.Provider) {
	t.Helper()
	var accepted atomic.Int64
	serve := func(c *testcaddy.Conn) {
		(&framer{conn: c.Conn, number: int(accepted.Add(1))}).speak(handle)
	}
	if !encrypted {
		p := testcaddy.NewProvider(t, serve)
		return startSidecar(t, "h2c://"+p.Address, options), p
	}
	ca := testcaddy.NewCA(t)
	p := testcaddy.NewTLSProvider(t, &tls.Config{NextProtos: []string{"h2"}, Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}, serve)
	return startSidecar(t, "https://"+p.Address, options+"\nhttp {\n tls_trust_pool file "+ca.File+"\n versions 2\n}"), p
}

var errHangUp = errors.New("the provider hangs up")

// What the frames say was not processed is not_sent, and nothing else is. The
// sidecar sends no request a second time by itself.
func TestHTTP2RequestsThatWereNotProcessed(t *testing.T) {
	reset := func(code http2.ErrCode) func(*framer, uint32, []byte) error {
		return func(f *framer, stream uint32, _ []byte) error { return f.WriteRSTStream(stream, code) }
	}
	goAway := func(last func(stream uint32) uint32, code http2.ErrCode) func(*framer, uint32, []byte) error {
		return func(f *framer, stream uint32, _ []byte) error {
			if err := f.WriteGoAway(last(stream), code, nil); err != nil {
				return err
			}
			if last(stream) < stream {
				return nil
			}
			return errHangUp
		}
	}
	before := func(stream uint32) uint32 { return stream - 1 }
	itself := func(stream uint32) uint32 { return stream }
	for name, c := range map[string]struct {
		refuse func(*framer, uint32, []byte) error
		want   want
	}{
		"a refused stream":                 {reset(http2.ErrCodeRefusedStream), notSent("upstream_unreachable", 502, "REFUSED_STREAM")},
		"a goodbye to earlier streams":     {goAway(before, http2.ErrCodeNo), notSent("upstream_unreachable", 502, "GOAWAY")},
		"an error to earlier streams":      {goAway(before, http2.ErrCodeEnhanceYourCalm), notSent("upstream_unreachable", 502, "GOAWAY")},
		"a goodbye that includes it":       {goAway(itself, http2.ErrCodeNo), unknown("upstream_failed", 502)},
		"an error that includes it":        {goAway(itself, http2.ErrCodeInternal), unknown("upstream_failed", 502)},
		"a stream that is cancelled":       {reset(http2.ErrCodeCancel), unknown("upstream_failed", 502)},
		"an internal error":                {reset(http2.ErrCodeInternal), unknown("upstream_failed", 502)},
		"a protocol error":                 {reset(http2.ErrCodeProtocol), unknown("upstream_failed", 502)}, // Go's own client sends again
		"calm":                             {reset(http2.ErrCodeEnhanceYourCalm), unknown("upstream_failed", 502)},
		"HTTP/1.1 is wanted":               {reset(http2.ErrCodeHTTP11Required), unknown("upstream_failed", 502)},
		"no word":                          {func(*framer, uint32, []byte) error { return errHangUp }, unknown("upstream_failed", 502)},
		"a frame that belongs to no one":   {func(f *framer, _ uint32, _ []byte) error { return f.WriteRSTStream(99, http2.ErrCodeRefusedStream) }, unknown("upstream_timeout", 504)},
		"an answer that is refused midway": {halfAnswer, unknown("upstream_failed", 502)},
	} {
		for _, encrypted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, encrypted), func(t *testing.T) {
				var requests atomic.Int64
				s, _ := framed(t, encrypted, "timeout 1s", func(f *framer, stream uint32, body []byte) error {
					requests.Add(1)
					return c.refuse(f, stream, body)
				})
				for i := range 2 {
					s.problem(t, s.post(sample(t)), c.want)
					assert.EqualValues(t, i+1, requests.Load(), "each was sent once")
				}
			})
		}
	}
}

// halfAnswer begins an answer, and then says that nothing was processed.
func halfAnswer(f *framer, stream uint32, _ []byte) error {
	var header bytes.Buffer
	_ = hpack.NewEncoder(&header).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
}

// A request that was not processed may be tried again where the operator wants
// that, sealed afresh.
func TestHTTP2TriesAgain(t *testing.T) {
	held := providerKeys(t)
	s, _ := framed(t, true, "reverse_proxy {\n lb_retries 1\n}", func(f *framer, stream uint32, body []byte) error {
		if f.number == 1 {
			return f.WriteGoAway(stream-1, http2.ErrCodeNo, nil)
		}
		return f.answer(held, stream, body)
	})
	s.ok(t, s.post(sample(t)))
}

// A server that says goodbye each few answers, as nginx does, makes no payment
// unknown.
func TestHTTP2Goodbyes(t *testing.T) {
	const each, clients, payments = 3, 8, 10
	held := providerKeys(t)
	var processed atomic.Int64
	s, p := framed(t, true, "", func(f *framer, stream uint32, body []byte) error {
		if f.requests > each && stream > f.goodbye {
			return nil // the frame has said so; a request may be whole before an earlier one
		}
		processed.Add(1)
		if err := f.answer(held, stream, body); err != nil {
			return err
		}
		if f.requests == each {
			f.goodbye = stream
			return f.WriteGoAway(stream, http2.ErrCodeNo, nil)
		}
		return nil
	})
	var ok, notSent atomic.Int64
	var working sync.WaitGroup
	for range clients {
		working.Go(func() {
			for range payments {
				switch answer := testcaddy.Post(t, s.url, sample(t)); {
				case answer.Status == 200:
					ok.Add(1)
				case answer.Header.Get("Countersign-Outcome") == "not_sent":
					notSent.Add(1)
				default:
					t.Errorf("%d: %s", answer.Status, answer.Body)
				}
			}
		})
	}
	working.Wait()
	assert.EqualValues(t, clients*payments, ok.Load()+notSent.Load())
	assert.Equal(t, processed.Load(), ok.Load(), "what was processed was answered, and the rest was not sent")
	assert.Greater(t, p.Accepted(), 1)
}

// A connection that dies without a word costs one payment, not all that follow.
func TestHTTP2ConnectionThatTimedOut(t *testing.T) {
	held := providerKeys(t)
	for _, midway := range []bool{false, true} {
		t.Run(fmt.Sprintf("within the answer %t", midway), func(t *testing.T) {
			var silent atomic.Int64 // connections up to this number
			s, p := framed(t, true, "timeout 1s", func(f *framer, stream uint32, body []byte) error {
				if int64(f.number) > silent.Load() {
					return f.answer(held, stream, body)
				}
				if !midway {
					return nil
				}
				var header bytes.Buffer
				_ = hpack.NewEncoder(&header).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header.Bytes(), EndHeaders: true})
			})
			old := s.settle(t, p)
			silent.Store(int64(old))
			timedOut := 0
			for p.Accepted() == old { // each connection costs one payment at most
				if answer := s.post(sample(t)); answer.Status != 200 {
					s.problem(t, answer, unknown("upstream_timeout", 504))
					timedOut++
				}
				require.LessOrEqual(t, timedOut, old)
			}
			assert.Positive(t, timedOut)
			s.settle(t, p)
		})
	}
}

// settle posts until a connection serves a second request, and returns how many
// connections there are. Go offers a new connection to other requests only after the
// one that dialled has it, so that the next request may come too early and dial too.
func (s *sidecar) settle(t *testing.T, p *testcaddy.Provider) int {
	t.Helper()
	for range 10 {
		before := p.Accepted()
		s.ok(t, s.post(sample(t)))
		if p.Accepted() == before {
			return before
		}
	}
	require.Fail(t, "no connection is used again")
	return 0
}

// Connections that are not needed any more are closed: by the provider's goodbye, and
// when the configuration goes.
func TestHTTP2ConnectionsEnd(t *testing.T) {
	held := providerKeys(t)
	var open atomic.Int64
	ca := testcaddy.NewCA(t)
	p := testcaddy.NewTLSProvider(t, &tls.Config{NextProtos: []string{"h2"}, Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}, func(c *testcaddy.Conn) {
		open.Add(1)
		defer open.Add(-1)
		(&framer{conn: c.Conn}).speak(func(f *framer, stream uint32, body []byte) error { return f.answer(held, stream, body) })
	})
	s := startSidecar(t, "https://"+p.Address, "http {\n tls_trust_pool file "+ca.File+"\n versions 2\n}")
	s.ok(t, s.post(sample(t)))
	assert.EqualValues(t, 1, open.Load())
	require.NoError(t, s.Reload(sidecarText(testcaddy.FreeAddress(t), "127.0.0.1:1", "")))
	assert.Eventually(t, func() bool { return open.Load() == 0 }, 20*time.Second, 10*time.Millisecond)
}

package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// HTTP/2 over TLS, as providers' load balancers speak it.
func TestHTTP2(t *testing.T) {
	ca := testcaddy.NewCA(t)
	held := providerKeys(t)
	var protocols sync.Map
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.Proto, true)
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
	s := startSidecar(t, server.URL, "http {\n tls_trust_pool file "+ca.File+"\n}")
	for range 3 {
		answer, interim := s.postRaw(sample(t))
		s.ok(t, answer)
		assert.Empty(t, interim)
		assert.Empty(t, answer.Header.Get("X-Trailer"))
	}
	_, ok := protocols.Load("HTTP/2.0")
	assert.True(t, ok)
}

// frames is a provider that speaks just enough HTTP/2 to refuse: it counts the
// requests that arrive and answers each with frames of the test's own.
func frames(t *testing.T, c io.ReadWriter, requests *atomic.Int64, refuse func(stream uint32) []byte) {
	t.Helper()
	r := bufio.NewReader(c)
	preface := make([]byte, 24)
	if _, err := io.ReadFull(r, preface); err != nil {
		return
	}
	_, _ = c.Write(frame(4, 0, 0, nil)) // SETTINGS
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := r.Discard(length); err != nil {
			return
		}
		stream := binary.BigEndian.Uint32(head[5:]) & 0x7fffffff
		switch kind, flags := head[3], head[4]; {
		case kind == 4 && flags&1 == 0:
			_, _ = c.Write(frame(4, 1, 0, nil))
		case kind == 1: // HEADERS
			requests.Add(1)
		case kind == 0 && flags&1 != 0: // DATA with END_STREAM
			if _, err := c.Write(refuse(stream)); err != nil {
				return
			}
		}
	}
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	out := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	out = binary.BigEndian.AppendUint32(out, stream)
	return append(out, payload...)
}

// An HTTP/2 provider that refuses a stream or says goodbye invites Go's client
// to send again. The sidecar does not: the bytes were there.
func TestHTTP2IsNotSentTwice(t *testing.T) {
	refused := func(stream uint32) []byte { return frame(3, 0, stream, []byte{0, 0, 0, 7}) } // RST_STREAM, REFUSED_STREAM
	goodbye := func(uint32) []byte { return frame(7, 0, 0, make([]byte, 8)) }                // GOAWAY, nothing was handled
	ca := testcaddy.NewCA(t)
	for name, refuse := range map[string]func(uint32) []byte{"refused stream": refused, "goodbye": goodbye} {
		for _, encrypted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, encrypted), func(t *testing.T) {
				var requests atomic.Int64
				handle := func(c *testcaddy.Conn) { frames(t, c.Conn, &requests, refuse) }
				var s *sidecar
				if encrypted {
					p := testcaddy.NewTLSProvider(t, &tls.Config{NextProtos: []string{"h2"}, Certificates: []tls.Certificate{ca.Issue(t, "provider").TLS}}, handle)
					s = startSidecar(t, "https://"+p.Address, "timeout 1s\nhttp {\n tls_trust_pool file "+ca.File+"\n}")
				} else {
					p := testcaddy.NewProvider(t, handle)
					s = startSidecar(t, "h2c://"+p.Address, "timeout 1s")
				}
				for i := range 3 {
					answer := s.post(sample(t))
					assert.NotEqual(t, "not_sent", answer.Header.Get("Countersign-Outcome"), "%s", answer.Body)
					assert.EqualValues(t, i+1, requests.Load(), "each was sent once")
				}
			})
		}
	}
}

package proxy_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// Where Caddy's transport leaves gzip alone, the sidecar undoes it, within the
// same limit.
func TestGzipThatWasNotAskedFor(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_response_body 64KiB\nhttp {\ncompression off\n}")
	chunkedGzip := func(text []byte) func(*testcaddy.Conn) {
		return d.answering(func(c *testcaddy.Conn, _ []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", closing, len(text), text)
		})
	}
	d.set(d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+"Content-Encoding: gzip\r\n", squeeze(g)) }))
	s.ok(t, s.post(sample(t)))
	assert.Empty(t, d.Last(t).Header.Get("Accept-Encoding"))

	random := make([]byte, 48<<10) // Base64 makes 64 KiB of it
	_, _ = rand.Read(random)
	for size, w := range map[int]want{48<<10 - 12: unverified("response_unsigned", 200), 48 << 10: unverified("response_too_large", 200)} {
		d.set(chunkedGzip(squeeze([]byte(`{"a":"` + bare64(random[:size]) + `"}`))))
		s.problem(t, s.post(sample(t)), w)
	}
	d.set(d.gzip([]byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)))
	s.problem(t, s.post(sample(t)), unverified("response_too_large", 200))
	d.set(d.gzipRaw([]byte("no gzip")))
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
	d.set(d.gzipRaw(badSum([]byte("{}"))))
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
	d.set(d.gzipRaw(nil))
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
	d.set(d.gzipRaw(squeeze([]byte("{}"))[:15]))
	s.problem(t, s.post(sample(t)), unknown("upstream_failed", 502))
	d.set(chunkedGzip(bytes.Repeat(squeeze(nil), 5000))) // a hundred thousand bytes that are nothing
	s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
}

// What is under a content coding, or under several, is opened as it is without.
func TestContentCodings(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_response_body 64KiB")
	encoder := func(open func(io.Writer) io.WriteCloser) func([]byte) []byte {
		return func(text []byte) []byte {
			var out bytes.Buffer
			w := open(&out)
			_, _ = w.Write(text)
			_ = w.Close()
			return out.Bytes()
		}
	}
	raw := encoder(func(out io.Writer) io.WriteCloser { w, _ := flate.NewWriter(out, flate.BestSpeed); return w })
	wrapped := encoder(func(out io.Writer) io.WriteCloser { return zlib.NewWriter(out) })
	br := encoder(func(out io.Writer) io.WriteCloser { return brotli.NewWriter(out) })
	zst := func(text []byte) []byte {
		w, _ := zstd.NewWriter(nil)
		return w.EncodeAll(text, nil)
	}
	for _, headers := range []string{"Content-Encoding: compress\r\n", "Content-Encoding: gzip, gzip, gzip, gzip\r\n"} {
		d.set(d.answering(func(c *testcaddy.Conn, g []byte) { c.Answer(200, closing+headers, g) }))
		s.problem(t, s.post(sample(t)), unverified("response_invalid", 200))
	}
	for name, c := range map[string]struct {
		headers string
		encode  func([]byte) []byte
		strict  bool // what stands behind the end is refused
	}{
		"gzip":             {"Content-Encoding: gzip\r\n", squeeze, true},
		"X-GZIP":           {"content-encoding: X-GZIP\r\n", squeeze, true},
		"deflate":          {"Content-Encoding: deflate\r\n", wrapped, false},
		"deflate, bare":    {"Content-Encoding: deflate\r\n", raw, false},
		"br":               {"Content-Encoding: br\r\n", br, true},
		"zstd":             {"Content-Encoding: zstd\r\n", zst, true},
		"two in a header":  {"Content-Encoding: br, gzip\r\n", func(g []byte) []byte { return squeeze(br(g)) }, true},
		"two headers":      {"Content-Encoding: zstd\r\nContent-Encoding: deflate\r\n", func(g []byte) []byte { return wrapped(zst(g)) }, false},
		"one that is none": {"Content-Encoding: UTF-8, br\r\n", br, true},
		"a parameter":      {"Content-Encoding: gzip;q=1.0, identity; q=0.5\r\n", squeeze, true},
	} {
		t.Run(name, func(t *testing.T) {
			answer := func(text func(genuine []byte) []byte) *testcaddy.Answer {
				d.set(d.answering(func(conn *testcaddy.Conn, g []byte) { conn.Answer(200, closing+c.headers, text(g)) }))
				return s.post(sample(t))
			}
			s.ok(t, answer(c.encode))
			s.problem(t, answer(func([]byte) []byte { return []byte("planted, and no such coding") }), unverified("response_invalid", 200))
			s.problem(t, answer(func(g []byte) []byte { return c.encode(g)[:20] }), unknown("upstream_failed", 502))
			s.problem(t, answer(func([]byte) []byte { return c.encode([]byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)) }), unverified("response_too_large", 200))
			if c.strict {
				for _, behind := range []string{"planted", "\r\n", "}"} {
					s.problem(t, answer(func(g []byte) []byte { return append(c.encode(g), behind...) }), unverified("response_invalid", 200))
				}
			}
		})
	}
}

// An answer that breaks off leaves the outcome unknown.
func TestBrokenAnswers(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "timeout 700ms")
	for name, c := range map[string]struct {
		handle func(*testcaddy.Conn)
		want   want
	}{
		"closed before it read":         {func(*testcaddy.Conn) {}, unknown("upstream_failed", 502)},
		"reset before it read":          {func(c *testcaddy.Conn) { c.Reset() }, want{}},
		"closed after it read":          {d.answering(func(*testcaddy.Conn, []byte) {}), unknown("upstream_failed", 502)},
		"reset after it read":           {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Reset() }), unknown("upstream_failed", 502)},
		"closed within the status line": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 20") }), unknown("upstream_failed", 502)},
		"closed within the header":      {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 200 OK\r\nContent-Ty") }), unknown("upstream_failed", 502)},
		"closed within the body":        {d.answering(func(c *testcaddy.Conn, g []byte) { truncate(c, g) }), unknown("upstream_failed", 502)},
		"reset within the body":         {d.answering(func(c *testcaddy.Conn, g []byte) { truncate(c, g); time.Sleep(20 * time.Millisecond); c.Reset() }), unknown("upstream_failed", 502)},
		"a byte short": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", closing, len(g)+1, g)
		}), unknown("upstream_failed", 502)},
		"chunks without an end": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", closing, len(g), g)
		}), unknown("upstream_failed", 502)},
		"broken chunks": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\nplanted\r\n%s\r\n", closing, g)
		}), unknown("upstream_failed", 502)},
		"gzip that breaks off": {d.answering(func(c *testcaddy.Conn, g []byte) {
			z := squeeze(g)
			c.Answer(200, closing+"Content-Encoding: gzip\r\n", z[:len(z)-20])
		}), unknown("upstream_failed", 502)},
		"not HTTP":              {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("planted: this is no HTTP\r\n\r\n") }), unknown("upstream_failed", 502)},
		"a header that is none": {d.answering(func(c *testcaddy.Conn, g []byte) { c.Print("HTTP/1.1 200 OK\r\nplanted without a colon\r\n\r\n%s", g) }), unknown("upstream_failed", 502)},
		"two lengths": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: %d\r\n\r\n%s", len(g), g)
		}), unknown("upstream_failed", 502)},
		"silent before it read":    {func(c *testcaddy.Conn) { time.Sleep(time.Second) }, unknown("upstream_timeout", 504)},
		"silent after it read":     {d.answering(func(*testcaddy.Conn, []byte) { time.Sleep(time.Second) }), unknown("upstream_timeout", 504)},
		"silent within the header": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 200 OK\r\n"); time.Sleep(time.Second) }), unknown("upstream_timeout", 504)},
		"silent within the body":   {d.answering(func(c *testcaddy.Conn, g []byte) { truncate(c, g); time.Sleep(time.Second) }), unknown("upstream_timeout", 504)},
		"silent but for 1xx": {d.answering(func(c *testcaddy.Conn, _ []byte) {
			forAWhile(func() bool { _, err := c.Write([]byte("HTTP/1.1 103 Early Hints\r\n\r\n")); return err == nil })
		}), unknown("upstream_timeout", 504)},
		"a byte now and then": {d.answering(func(c *testcaddy.Conn, g []byte) {
			c.Print("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
			forAWhile(func() bool { _, err := c.Write([]byte(" ")); return err == nil })
		}), unknown("upstream_timeout", 504)},
		"101 and then silence": {d.answering(func(c *testcaddy.Conn, _ []byte) {
			c.Print("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			time.Sleep(time.Second)
		}), want{code: "response_invalid", status: 502, outcome: "unverified", upstreamStatus: 101}},
		"too large and then silence": {d.answering(func(c *testcaddy.Conn, _ []byte) {
			c.Print("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
			time.Sleep(time.Second)
		}), want{code: "response_too_large", status: 502, outcome: "unverified", upstreamStatus: 200}},
		"an answer before the request": {func(c *testcaddy.Conn) {
			c.Print("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			time.Sleep(50 * time.Millisecond)
		}, want{}},
		"an HTTP/2 preface in the place": {d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }), unknown("upstream_failed", 502)},
	} {
		t.Run(name, func(t *testing.T) {
			d.set(c.handle)
			before := d.Delivered()
			start := time.Now()
			answer := s.post(sample(t))
			assert.Less(t, time.Since(start), 10*time.Second)
			assert.LessOrEqual(t, d.Delivered(), before+1, "sent once at most")
			if c.want.code == "" { // where the bytes cross on the way there is no one answer
				p := answer.JSON(t)
				assert.Contains(t, []any{"unknown", "unverified", "not_sent"}, p["outcome"])
				if p["outcome"] == "not_sent" {
					assert.Equal(t, before, d.Delivered())
				}
				s.Logs.Audit(t, s.asked)
				s.Logs.Access(t, s.asked)
				return
			}
			s.problem(t, answer, c.want)
			assert.NotContains(t, string(answer.Body), "planted")
		})
	}
	assert.NotContains(t, s.Logs.Text(), "planted")
}

// A header that does not end is cut off long before memory is.
func TestHeaderWithoutAnEnd(t *testing.T) {
	d := newDouble(t)
	d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Print("HTTP/1.1 200 OK\r\nX: %s", strings.Repeat("x", 11<<20)) }))
	s := startSidecar(t, d.Address, "")
	s.problem(t, s.post(sample(t)), unknown("upstream_failed", 502))
}

func truncate(c *testcaddy.Conn, genuine []byte) {
	c.Print("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", closing, len(genuine), genuine[:len(genuine)/2])
}

// forAWhile calls step each 20 ms for a second, or until it returns false.
func forAWhile(step func() bool) {
	for range 50 {
		if !step() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

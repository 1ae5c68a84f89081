package notify

import (
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxAnswer is the size in bytes up to which an answer is buffered and remembered.
// Acknowledgements have less than 100 bytes; a larger answer is passed on while it
// arrives.
const maxAnswer = 64 << 10

// answerWriter buffers an answer until it is complete or larger than the limit; with a
// limit of 0 it buffers nothing. Informational answers are dropped.
type answerWriter struct {
	*caddyhttp.ResponseWriterWrapper
	limit  int
	always bool   // what is larger than the limit is dropped, and not released
	before func() // called once, before anything leaves

	status     int
	held       []byte
	released   bool
	overflowed bool // it was larger than the limit
	signed     bool // it is an acknowledgement that the sidecar has signed
}

// WriteHeader sets the status of the answer.
func (w *answerWriter) WriteHeader(status int) {
	if status < 200 || w.status != 0 {
		return
	}
	w.status = status
	if w.limit == 0 {
		w.release()
	}
}

// Write appends a part of the answer.
func (w *answerWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !w.released {
		if len(w.held)+len(p) <= w.limit {
			w.held = append(w.held, p...)
			return len(p), nil
		}
		w.overflowed = true
		if w.always {
			return len(p), nil
		}
		w.release()
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom appends the rest of the answer. Without it the embedded writer's ReadFrom
// would bypass Write.
func (w *answerWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.released {
		return w.ResponseWriterWrapper.ReadFrom(r)
	}
	return io.Copy(writerOnly{w}, r)
}

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

// Flush flushes what is not buffered.
func (w *answerWriter) Flush() { _ = w.FlushError() }

// FlushError is Flush with an error.
func (w *answerWriter) FlushError() error {
	if w.limit == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.released {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// whole reports whether the answer is buffered completely, without a content coding.
func (w *answerWriter) whole() bool {
	return !w.overflowed && w.Header().Get("Content-Encoding") == ""
}

// size returns what is known of the size of the answer's body when it is released.
func (w *answerWriter) size() int {
	announced, _ := strconv.Atoi(w.Header().Get("Content-Length"))
	return max(announced, len(w.held))
}

// release writes the answer to the client.
func (w *answerWriter) release() {
	if w.released {
		return
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.released = true
	w.before()
	w.ResponseWriter.WriteHeader(w.status)
	if len(w.held) > 0 {
		_, _ = w.ResponseWriter.Write(w.held) // who has hung up gets nothing; it is in the log
	}
}

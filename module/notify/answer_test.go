package notify

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/assert"
)

// answerRecorder tells whether the header has left.
type answerRecorder struct {
	*httptest.ResponseRecorder
	left bool
}

func (r *answerRecorder) WriteHeader(status int) {
	r.left = true
	r.ResponseRecorder.WriteHeader(status)
}

// held returns a writer before a answerRecorder. The entry must be written once, and
// before anything leaves.
func held(t *testing.T, limit int) (*answerWriter, *answerRecorder, *int) {
	t.Helper()
	rec := &answerRecorder{ResponseRecorder: httptest.NewRecorder()}
	entries := new(int)
	w := &answerWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: rec}, limit: limit}
	w.before = func() {
		*entries++
		assert.False(t, rec.left, "the header has left before the entry is written")
		assert.Zero(t, rec.Body.Len())
		assert.False(t, rec.Flushed)
	}
	w.Header().Set("X-Application", "yes")
	return w, rec, entries
}

func TestAnswerWriter(t *testing.T) {
	for name, test := range map[string]struct {
		limit          int
		write          func(w *answerWriter)
		before         int // what has left before the release
		status, length int
		overflowed     bool
	}{
		"held":                {10, func(w *answerWriter) { w.WriteHeader(201); _, _ = w.Write([]byte("ok")) }, 0, 201, 2, false},
		"no status":           {10, func(w *answerWriter) { _, _ = w.Write([]byte("ok")) }, 0, 200, 2, false},
		"nothing":             {10, func(*answerWriter) {}, 0, 200, 0, false},
		"status only":         {10, func(w *answerWriter) { w.WriteHeader(204) }, 0, 204, 0, false},
		"the first status":    {10, func(w *answerWriter) { w.WriteHeader(202); w.WriteHeader(500) }, 0, 202, 0, false},
		"informational":       {10, func(w *answerWriter) { w.WriteHeader(103); w.WriteHeader(202) }, 0, 202, 0, false},
		"flushed":             {10, func(w *answerWriter) { _, _ = w.Write([]byte("ok")); w.Flush() }, 0, 200, 2, false},
		"up to the limit":     {10, func(w *answerWriter) { _, _ = w.Write(make([]byte, 10)) }, 0, 200, 10, false},
		"beyond it":           {10, func(w *answerWriter) { _, _ = w.Write(make([]byte, 11)) }, 11, 200, 11, true},
		"beyond it, in parts": {10, func(w *answerWriter) { _, _ = w.Write(make([]byte, 6)); _, _ = w.Write(make([]byte, 6)) }, 12, 200, 12, true},
		"read from":           {10, func(w *answerWriter) { _, _ = w.ReadFrom(strings.NewReader("ok")) }, 0, 200, 2, false},
		"much is read from":   {10, func(w *answerWriter) { _, _ = w.ReadFrom(io.LimitReader(zeros{}, 100_000)) }, 100_000, 200, 100_000, true},
		"passed on":           {0, func(w *answerWriter) { _, _ = w.Write([]byte("ok")) }, 2, 200, 2, true},
		"passed, status":      {0, func(w *answerWriter) { w.WriteHeader(404); _, _ = w.Write([]byte("no")) }, 2, 404, 2, false},
		"passed, flush first": {0, func(w *answerWriter) { w.Flush(); _, _ = w.Write([]byte("ok")) }, 2, 200, 2, false},
		"passed, read from":   {0, func(w *answerWriter) { _, _ = w.ReadFrom(strings.NewReader("ok")) }, 2, 200, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, rec, entries := held(t, test.limit)
			test.write(w)
			assert.Equal(t, test.before, rec.Body.Len())
			w.release()
			w.release()
			assert.Equal(t, 1, *entries)
			assert.Equal(t, test.status, rec.Code)
			assert.Equal(t, test.length, rec.Body.Len())
			assert.Equal(t, "yes", rec.Header().Get("X-Application"))
			if test.limit > 0 {
				assert.Equal(t, test.overflowed, w.overflowed)
				assert.Equal(t, !test.overflowed, w.whole())
			}
		})
	}
}

// Who asks the response controller reaches this writer and not the one below.
func TestFlushIsHeldBack(t *testing.T) {
	w, rec, _ := held(t, 10)
	w.WriteHeader(200)
	assert.NoError(t, http.NewResponseController(w).Flush())
	assert.False(t, rec.Flushed)
	w.release()
	assert.NoError(t, http.NewResponseController(w).Flush())
	assert.True(t, rec.Flushed)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

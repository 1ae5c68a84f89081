package notify

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/problem"
)

// The limits on notifications that are not verified yet.
const (
	// DefaultMaxInFlight is the default of max_in_flight.
	DefaultMaxInFlight = 256

	// smallBody is the number of bytes of each body that do not count against
	// largeBodies: most notifications are smaller, and large ones must not block them.
	smallBody = 16 << 10

	// largeBodies is the number of bytes beyond smallBody that a handler buffers at
	// once, for all bodies together.
	largeBodies = 64 << 20
)

// load counts the notifications and bytes that a handler buffers. The zero value is
// ready to use.
type load struct {
	inFlight atomic.Int64
	bytes    atomic.Int64
}

var errLoad = i18n.Errorf("too many large bodies at once")

// bodyReader reads a body and counts it against the load of its handler.
type bodyReader struct {
	io.ReadCloser
	load    *load
	read    int64
	counted int64
	refused bool
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if more := b.read - smallBody - b.counted; more > 0 {
		b.counted += more
		if b.load.bytes.Add(more) > largeBodies {
			b.refused = true
			return n, errLoad
		}
	}
	return n, err
}

// release gives back what the body was counted with.
func (b *bodyReader) release() {
	b.load.bytes.Add(-b.counted)
	b.counted = 0
}

// limitBody limits the time for the body of a request and counts its bytes. The
// function that it returns ends the limit of time.
func (h *Handler) limitBody(w http.ResponseWriter, r *http.Request) (*bodyReader, func()) {
	b := &bodyReader{ReadCloser: http.NoBody, load: &h.load}
	if r.Body == nil || r.Body == http.NoBody {
		return b, func() {}
	}
	whole := inbound.LimitBodyTime(w, r)
	b.ReadCloser, r.Body = r.Body, b
	return b, whole
}

// enter counts the notification against max_in_flight. It is called when the body has
// been read, so that a client that stalls does not count.
func (h *Handler) enter() *problem.Problem {
	if h.load.inFlight.Add(1) > h.MaxInFlight {
		return overloaded(i18n.T("max_in_flight notifications are in flight"))
	}
	return nil
}

func (h *Handler) leave() { h.load.inFlight.Add(-1) }

func overloaded(detail i18n.Text) *problem.Problem {
	return problem.New(problem.Overloaded, i18n.T("%v; send the notification again later", detail), nil)
}

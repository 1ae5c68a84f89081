package telemetry

import (
	"regexp"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	alikeBurst   = 5           // lines alike that are written in a period
	alikePeriod  = time.Minute // of them
	maxDifferent = 256         // of which the number is known
)

// HeldBack suppresses repeated log lines about requests that fail with the same cause
// before anything was sent, such as all requests while the keys are not loaded. The
// audit log still has an entry for each of them. The zero value is ready to use.
type HeldBack struct {
	mu    sync.Mutex
	alike map[string]*alike
}

type alike struct {
	since   time.Time
	written int
	held    int
}

// differs matches the parts of an error that vary for the same cause: quoted texts,
// such as a reference, and long numbers, such as a port.
var differs = regexp.MustCompile(`"[^"]*"|[0-9]{4,}`)

// Alike returns the text by which lines count as equal: the reason, the detail and the
// cause, which may be nil, without the parts that vary for the same cause.
func Alike(reason, detail string, cause error) string {
	line := reason + " " + detail
	if cause != nil {
		line += " " + differs.ReplaceAllString(cause.Error(), "")
	}
	return line
}

// Admit reports whether a line is to be written now. The field that it returns has the
// number of equal lines that were suppressed before it, or says that further ones will
// be; otherwise it is zap.Skip.
func (h *HeldBack) Admit(line string, now time.Time) (zap.Field, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.alike[line]
	if a == nil {
		if h.alike == nil || len(h.alike) >= maxDifferent {
			h.alike = make(map[string]*alike)
		}
		a = &alike{since: now}
		h.alike[line] = a
	}
	if now.Sub(a.since) >= alikePeriod {
		*a = alike{since: now, held: a.held}
	}
	if a.written == alikeBurst {
		a.held++
		return zap.Skip(), false
	}
	a.written++
	held := a.held
	a.held = 0
	switch {
	case held > 0:
		return zap.Int("held_back", held), true
	case a.written == alikeBurst:
		return zap.String("held_back", "more of this kind until a minute has passed; the audit log has each"), true
	}
	return zap.Skip(), true
}

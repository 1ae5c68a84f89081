package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// received is the last request that reached the sandbox. It holds plain text,
// which is why it is served here and never logged.
type received struct {
	Time     time.Time           `json:"time"`
	Path     string              `json:"path"`
	Header   map[string][]string `json:"header"`
	Body     string              `json:"body"`
	Provider string              `json:"provider"`
}

func (h *Handler) remember(r *http.Request, text []byte, answer provider.Answer) {
	h.received.Store(&received{
		Time: time.Now(), Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: string(text), Provider: answer.Seen,
	})
}

// serveReceived shows the last request.
func (h *Handler) serveReceived(w http.ResponseWriter, r *http.Request) error {
	last := h.received.Load()
	if !strings.HasSuffix(r.URL.Path, "/received") || last == nil {
		return caddyhttp.Error(http.StatusNotFound, nil)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(last)
}

package inspector

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/problem"
)

// summary is a record in the list.
type summary struct {
	Seq       uint64  `json:"seq"`
	ID        string  `json:"id"`
	Time      string  `json:"time"`
	Kind      string  `json:"kind"`
	Rehearse  bool    `json:"rehearse,omitempty"`
	Profile   string  `json:"profile"`
	Scheme    string  `json:"scheme"`
	Reference string  `json:"reference"`
	Method    string  `json:"method"`
	Path      string  `json:"path"`
	Order     string  `json:"order,omitempty"`
	Outcome   string  `json:"outcome"` // ok, unsigned, repeated, or the reason
	Money     string  `json:"money,omitempty"`
	State     string  `json:"state"` // good, note or fault
	Status    int     `json:"status,omitempty"`
	Seal      float64 `json:"seal_ms"`
	Upstream  float64 `json:"upstream_ms"`
	Open      float64 `json:"open_ms"`
}

func summaryOf(rec *recorder.Record) summary {
	e := &rec.Entry
	s := summary{
		Seq: rec.Seq, ID: e.ID, Time: rec.Time.Format(time.RFC3339Nano), Kind: rec.Kind, Rehearse: rec.Rehearse,
		Profile: e.Profile, Scheme: e.Scheme, Reference: e.Reference, Method: rec.Method, Path: rec.Path,
		Outcome: e.Outcome, Status: e.UpstreamStatus, Seal: ms(e.Seal), Upstream: ms(e.Upstream), Open: ms(e.Open), Order: order(rec),
	}
	switch {
	case e.Verdict == "unsigned":
		s.Outcome, s.State = "unsigned", "note"
	case e.Outcome == "ok" && e.Verdict == "":
		s.State = "good"
	case e.Outcome == "ok", e.Outcome == "repeated", e.Outcome == "unsigned":
		s.State = "note"
		if e.Verdict != "" {
			s.Outcome = e.Verdict
		}
	default:
		s.State = "fault"
		if rec.Kind == recorder.Exchange {
			s.Money = string(problem.Reason(e.Outcome).Outcome())
		}
	}
	return s
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// orderNames are the names that providers have for an order number.
var orderNames = []string{
	"out_trade_no", "outTradeNo", "mchOrderNo", "orgTrace", "oriOrgTrace", "order_no", "orderNo", "orderId", "order_id", "out_order_no",
	"outOrderNo", "merOrderId", "mer_order_no", "trade_no", "tradeNo", "transaction_id", "payOrderId",
}

// order returns the order that a message is about, where messages are kept.
func order(rec *recorder.Record) string {
	b := rec.Bodies
	if b == nil {
		return ""
	}
	tree := payload(b.Scheme, b.Posted)
	if rec.Kind == recorder.Notification {
		tree = payload(b.Scheme, b.Received)
	}
	if tree == nil {
		return ""
	}
	d := b.Scheme.Describe()
	var paths []body.Path
	for _, path := range append(append([]body.Path(nil), d.Match...), d.Notify.Identity...) {
		paths = append(paths, path, path[len(path)-1:])
	}
	for _, name := range orderNames {
		paths = append(paths, body.Path{name})
	}
	for _, inside := range append([]body.Path{nil}, d.Inside...) {
		at := tree.At(inside)
		if at == nil {
			continue
		}
		for _, path := range paths {
			if path.HasAny() {
				continue
			}
			if m, ok := at.Get(path); ok && m.IsScalar() && !m.IsEmpty() {
				text := m.Text()
				return string(text[:min(len(text), 64)])
			}
		}
	}
	return ""
}

// route is a handler of the configuration, for the workbench.
type route struct {
	Index    int    `json:"index"`
	Kind     string `json:"kind"`
	Profile  string `json:"profile"`
	Scheme   string `json:"scheme"`
	Sandbox  bool   `json:"sandbox"`
	Requests bool   `json:"requests"`
	Notifies bool   `json:"notifies"`
}

func (h *Handler) routes() []route {
	routes := []route{}
	for i, r := range h.hook.Routes() {
		d := r.Scheme.Describe()
		routes = append(routes, route{
			Index: i, Kind: r.Kind, Profile: r.Profile, Scheme: r.Config.Name,
			Sandbox: r.Rehearse != nil && h.hook.Sandbox(r.Config.Name) != nil, Requests: d.Request != nil, Notifies: d.Notification != nil,
		})
	}
	slices.SortStableFunc(routes, func(a, b route) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Profile, b.Profile))
	})
	return routes
}

// serveList serves all records, the newest first, and what the page needs to know.
func (h *Handler) serveList(w http.ResponseWriter, _ *http.Request) error {
	epoch, records := h.recorder.After("", 0)
	list := make([]summary, 0, len(records))
	for i := len(records) - 1; i >= 0; i-- {
		list = append(list, summaryOf(records[i]))
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"epoch": epoch, "keep": h.recorder.Keep(), "bodies": h.recorder.Bodies(), "language": h.app.ProblemLanguage(), "records": list, "routes": h.routes(),
	})
}

const heartbeat = 15 * time.Second

// serveEvents sends an event for each new record (server-sent events).
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request) error {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("after")
	}
	epoch, number, _ := strings.Cut(last, "-")
	seq, _ := strconv.ParseUint(number, 10, 64)
	added, stop := h.recorder.Watch()
	defer stop()
	if added == nil {
		return (&refusal{status: http.StatusServiceUnavailable, text: i18n.T("too many pages are watching; close some")}).write(w, r)
	}
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{}) // a server without deadlines needs none taken away
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	if _, err := fmt.Fprint(w, "retry: 1000\n\n"); err != nil {
		return nil
	}
	for {
		now, records := h.recorder.After(epoch, seq)
		if now != epoch {
			if _, err := fmt.Fprintf(w, "event: reset\nid: %s-0\ndata: {}\n\n", now); err != nil { //nolint:gosec // it is not HTML
				return nil // the page is gone
			}
			epoch, seq = now, 0
		}
		for _, rec := range records {
			text, err := json.Marshal(summaryOf(rec))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "event: record\nid: %s-%d\ndata: %s\n\n", now, rec.Seq, text); err != nil { //nolint:gosec // it is not HTML
				return nil
			}
			seq = rec.Seq
		}
		if err := c.Flush(); err != nil {
			return nil
		}
		select {
		case <-added:
		case <-ticker.C:
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-h.done:
			return nil
		}
	}
}

package telemetry

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// maxReports is the number of reports that wait at most for standard error.
const maxReports = 1 << 14 // more than a queue has by default

// report is a line on standard error about a log entry that was lost.
type report struct {
	Level  string  `json:"level"`
	Time   float64 `json:"ts"` // in seconds since 1970, as Caddy's own lines have it
	Logger string  `json:"logger"`
	Msg    string  `json:"msg"` // "": nothing is written
	ID     string  `json:"id,omitempty"`
	Reason string  `json:"reason,omitempty"`
	More   int     `json:"unreported,omitempty"` // losses before this one for which there was no space

	written chan struct{} // closed when the report and those before it are written, or nil
}

// reporter writes reports to standard error in a separate goroutine, because standard
// error may be the log that has stalled.
type reporter struct {
	start   sync.Once
	reports chan report // made when the first loss is, because it takes 1.6 MB

	mu   sync.Mutex
	more int
}

var losses reporter

// add queues a report, or counts it if there is no space.
func (p *reporter) add(r report) {
	p.start.Do(p.begin)
	p.mu.Lock()
	defer p.mu.Unlock()
	r.More = p.more
	select {
	case p.reports <- r:
		p.more = 0
	default:
		p.more++
	}
}

func (p *reporter) begin() {
	p.reports = make(chan report, maxReports)
	go p.run()
}

func (p *reporter) run() {
	for r := range p.reports {
		if line, err := json.Marshal(r); err == nil && r.Msg != "" {
			_, _ = os.Stderr.Write(append(line, '\n'))
		}
		if r.written != nil {
			close(r.written)
		}
	}
}

// flush waits until the reports are written, for at most the given time.
func (p *reporter) flush(wait time.Duration) {
	written := make(chan struct{})
	p.mu.Lock()
	more := p.more
	p.mu.Unlock()
	last := report{written: written}
	if more > 0 {
		last = report{Level: "error", Time: seconds(time.Now()), Logger: "http.countersign.audit", Msg: "log entries lost", More: more, written: written}
	}
	deadline := time.After(wait)
	p.start.Do(p.begin)
	select {
	case p.reports <- last:
	case <-deadline:
		return
	}
	select {
	case <-written:
	case <-deadline:
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// reportLost reports that a log entry was not written. Audit entries are counted
// as well.
func reportLost(r *record, err error) {
	out := report{
		Level: "error", Time: seconds(time.Now()), Logger: r.entry.LoggerName,
		Msg: "log entry lost: " + r.entry.Message, ID: recordID(r), Reason: cut(err.Error()),
	}
	if r.audit != nil {
		auditLost.Inc()
		out.Msg = "audit entry lost: " + r.entry.Message
	}
	losses.add(out)
}

// recordID returns the id of the exchange that a record is about, or "".
func recordID(r *record) string {
	if r.audit != nil {
		return r.audit.ID
	}
	for _, f := range r.fields {
		if f.Key == "id" && f.Type == zapcore.StringType {
			return f.String
		}
	}
	return ""
}

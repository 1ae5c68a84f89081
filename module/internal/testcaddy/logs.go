package testcaddy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(new(writer))
}

// Entry is one line of the log.
type Entry map[string]any

// String returns the text of a field, or "".
func (e Entry) String(field string) string {
	text, _ := e[field].(string)
	return text
}

// Number returns the number in a field, or 0.
func (e Entry) Number(field string) float64 {
	n, _ := e[field].(float64)
	return n
}

// Logs are all lines that Caddy has logged.
type Logs struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines []Entry
}

// Text returns the whole log as it was written.
func (l *Logs) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Entries returns the lines of one logger, or all for the empty name.
func (l *Logs) Entries(logger string) []Entry {
	return l.Matching(func(e Entry) bool { return logger == "" || e.String("logger") == logger })
}

// Matching returns the lines for which match is true.
func (l *Logs) Matching(match func(Entry) bool) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for _, e := range l.lines {
		if match(e) {
			out = append(out, e)
		}
	}
	return out
}

// Message returns the lines with that message.
func (l *Logs) Message(message string) []Entry {
	return l.Matching(func(e Entry) bool { return e.String("msg") == message })
}

// Wait waits until n lines match, ten seconds at most, and returns them. The
// test fails if they do not come.
func (l *Logs) Wait(t testing.TB, n int, match func(Entry) bool) []Entry {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if found := l.Matching(match); len(found) >= n {
			return found
		}
		if time.Now().After(end) {
			t.Fatalf("of %d lines of the log only %d came; the log ends with:\n%s", n, len(l.Matching(match)), tail(l.Text(), 4000))
		}
	}
}

// Audit waits for the n-th entry of the audit log and returns it.
func (l *Logs) Audit(t testing.TB, n int) Entry {
	t.Helper()
	return l.Wait(t, n, func(e Entry) bool { return e.String("logger") == "http.countersign.audit" })[n-1]
}

// Access waits for the n-th line of the access log and returns it. The site
// needs the directive log.
func (l *Logs) Access(t testing.TB, n int) Entry {
	t.Helper()
	return l.Wait(t, n, func(e Entry) bool { return e.String("msg") == "handled request" })[n-1]
}

// Write takes one line.
func (l *Logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(line)
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		e = Entry{"msg": string(line)}
	}
	l.lines = append(l.lines, e)
	return len(line), nil
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

// runs are the logs by the number of the Caddy that writes them. What an earlier
// Caddy still logs, of a client that left for example, goes to its own log.
var (
	runs    sync.Map // of int64 to *Logs
	lastRun atomic.Int64
)

// writer writes Caddy's log into Logs.
type writer struct {
	// Run is the number of the Caddy that writes.
	Run int64 `json:"run"`
}

// CaddyModule returns the Caddy module information.
func (*writer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.testcaddy", New: func() caddy.Module { return new(writer) }}
}

// String names the writer.
func (*writer) String() string { return "testcaddy" }

// WriterKey returns the same for the configurations of one Caddy.
func (w *writer) WriterKey() string { return fmt.Sprintf("testcaddy %d", w.Run) }

// OpenWriter opens the writer.
func (w *writer) OpenWriter() (io.WriteCloser, error) {
	logs, ok := runs.Load(w.Run)
	if !ok {
		return nil, fmt.Errorf("no Caddy of a test has the number %d", w.Run)
	}
	return open{logs.(*Logs)}, nil
}

// open is a writer that is open. It stays so, as do the logs.
type open struct{ *Logs }

// Close does nothing.
func (open) Close() error { return nil }

var _ caddy.WriterOpener = (*writer)(nil)

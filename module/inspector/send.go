package inspector

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// faults are the faults of a sandbox.
var faults = []string{"bad_signature", "wrong_key", "tampered", "unsigned", "mismatch", "truncated", "reset", "slow", "http_500", "not_json"}

// sendTime is how long sending may take, the sandbox's slow answer included.
const sendTime = 20 * time.Second

// send sends a request again, to the sandbox of its scheme in this configuration
// and never to the provider: the sandbox is asked in this process, and no address
// is dialled.
func (h *Handler) send(r *http.Request) (any, error) {
	q, err := readQuestion(r)
	if err != nil {
		return nil, err
	}
	rec := h.recorder.Find(q.ID)
	if rec == nil || rec.Bodies == nil || rec.Bodies.Posted == nil {
		return nil, i18n.Errorf("this request is not kept; a request is kept with the option bodies")
	}
	route := h.routeOf(rec)
	if route == nil || route.Rehearse == nil {
		return nil, i18n.Errorf("the handler of this request is not in the configuration any more")
	}
	sandbox := h.hook.Sandbox(route.Config.Name)
	if sandbox == nil {
		return nil, i18n.Errorf("there is no countersign_sandbox %s in this configuration, and a request is sent again to nothing else", route.Config.Name)
	}
	if q.Fault != "" && !slices.Contains(faults, q.Fault) {
		return nil, i18n.Errorf("there is no fault %q", q.Fault)
	}
	m, _, err := diagnosis.ReadPlain(route.Scheme, []byte(q.Text))
	if err != nil {
		return nil, err
	}
	kept := rec.Bodies.Posted
	m.Method, m.Path, m.Query, m.Scheme, m.Host = kept.Method, kept.Path, withFault(kept.Query, q.Fault), "http", "sandbox"
	m.Wire = []byte(q.Text)
	m.Header = kept.Header.Clone()
	ctx, cancel := context.WithTimeout(r.Context(), sendTime)
	defer cancel()
	answer := newLoop(sandbox)
	defer answer.close()
	made := route.Rehearse(ctx, m, answer.transport)
	if made == nil {
		return nil, i18n.Errorf("the configuration was replaced; load the page again")
	}
	return map[string]string{"id": made.Entry.ID}, nil
}

// withFault returns a query that asks for a fault, or for none.
func withFault(query, fault string) string {
	var kept []string
	for piece := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(piece, "="); piece != "" && name != "fault" && name != "delay" {
			kept = append(kept, piece)
		}
	}
	if fault != "" {
		kept = append(kept, "fault="+url.QueryEscape(fault))
	}
	return strings.Join(kept, "&")
}

// loop is a server that only this process can reach. Its connections can break and be
// slow as on a network.
type loop struct {
	transport *http.Transport
	server    *http.Server
	conns     chan net.Conn
	done      chan struct{}
	once      sync.Once
}

func newLoop(handler http.Handler) *loop {
	l := &loop{conns: make(chan net.Conn), done: make(chan struct{})}
	l.server = &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: sendTime}
	l.transport = &http.Transport{DialContext: l.dial, DisableKeepAlives: true, DisableCompression: true}
	go l.server.Serve(l) //nolint:errcheck // it ends with close
	return l
}

func (l *loop) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept takes the next connection.
func (l *loop) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (l *loop) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is that of no network.
func (l *loop) Addr() net.Addr { return &net.UnixAddr{Name: "sandbox", Net: "pipe"} }

func (l *loop) close() {
	_ = l.server.Close() // it closes the listener and all connections
	l.transport.CloseIdleConnections()
}

var _ net.Listener = (*loop)(nil)

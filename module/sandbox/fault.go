package sandbox

import (
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// slowest is how long the fault slow waits at most.
const slowest = time.Minute

// faults are the names of all faults, as the query parameter fault has them.
var faults = []string{"bad_signature", "wrong_key", "tampered", "unsigned", "mismatch", "truncated", "reset", "slow", "http_500", "not_json"}

// fault is the fault of one answer.
type fault struct {
	name      string
	ofMessage provider.Fault // the provider's part of it
	delay     time.Duration  // of slow
}

// faultOf reads the query parameters fault and delay.
func faultOf(r *http.Request) (fault, error) {
	query := r.URL.Query()
	f := fault{name: query.Get("fault"), delay: slowest}
	switch f.name {
	case "", "truncated", "reset", "slow", "http_500", "not_json":
	case "bad_signature", "wrong_key", "tampered", "unsigned", "mismatch":
		f.ofMessage = provider.Fault(f.name)
	default:
		return fault{}, i18n.Errorf("there is no fault %q; there are %s", f.name, strings.Join(faults, ", "))
	}
	if text := query.Get("delay"); text != "" {
		delay, err := time.ParseDuration(text)
		if err != nil || delay < 0 || delay > slowest {
			return fault{}, i18n.Errorf("delay must be a duration up to %s", slowest)
		}
		f.delay = delay
	}
	return f, nil
}

// write sends the answer, with the fault.
func (f fault) write(w http.ResponseWriter, r *http.Request, answer provider.Answer) error {
	switch f.name {
	case "reset":
		return reset(w)
	case "slow":
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
		}
	case "http_500":
		answer.Status = http.StatusInternalServerError
	case "not_json":
		answer.Status, answer.ContentType = http.StatusOK, "text/html; charset=utf-8"
		answer.Body = []byte("<!DOCTYPE html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>\n")
	}
	maps.Copy(w.Header(), answer.Header)
	w.Header().Set("Content-Type", answer.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer.Body)))
	w.WriteHeader(answer.Status)
	if f.name == "truncated" {
		// The server closes the connection when less is written than announced.
		answer.Body = answer.Body[:len(answer.Body)/2]
	}
	_, err := w.Write(answer.Body)
	return err
}

// reset resets the connection after the request was read.
func reset(w http.ResponseWriter) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return conn.Close()
}

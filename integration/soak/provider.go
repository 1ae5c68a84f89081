package main

import (
	"crypto/rsa"
	"io"
	"math/rand"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
)

// providers are all providers on one port. They misbehave at random while
// chaos is on.
type providers struct {
	ledger *ledger
	server *http.Server
	shops  map[string]*shop // by the first segment of the path

	mu    sync.Mutex
	rng   *rand.Rand
	chaos bool
}

func startProviders(l *ledger, shops []*shop, seed int64) (*providers, error) {
	p := &providers{ledger: l, shops: make(map[string]*shop), rng: rand.New(rand.NewSource(seed))} //nolint:gosec // chaos, not secrets
	for _, s := range shops {
		p.shops[s.scheme] = s
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(providerPort))
	if err != nil {
		return nil, err
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// CloseIdle ends idle connections.
func (p *providers) CloseIdle() {
	p.server.SetKeepAlivesEnabled(false)
	time.Sleep(200 * time.Millisecond)
	p.server.SetKeepAlivesEnabled(true)
}

func (p *providers) setChaos(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chaos = on
}

// fate picks what goes wrong with a request, mostly nothing.
func (p *providers) fate() (string, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.chaos || p.rng.Intn(100) < 70 {
		return "", time.Duration(p.rng.Intn(10)) * time.Millisecond
	}
	fates := []string{
		"bad_signature", "wrong_key", "tampered", "unsigned", "mismatch",
		"reset before", "reset after", "truncated", "slow", "http_500", "not_json", "redirect", "empty", "swell",
	}
	return fates[p.rng.Intn(len(fates))], time.Duration(p.rng.Intn(50)) * time.Millisecond
}

// ServeHTTP writes down what arrived, and answers as its fate has it.
func (p *providers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("order")
	p.ledger.arrive(id)
	scheme, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s := p.shops[scheme]
	fate, delay := p.fate()
	if s == nil || fate == "reset before" {
		reset(w)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it did not arrive whole
	}
	fault := provider.Fault("")
	switch fate {
	case "bad_signature", "wrong_key", "tampered", "unsigned", "mismatch":
		fault = provider.Fault(fate)
	}
	answer := s.provider.Answer(provider.Request{
		Path: r.URL.RequestURI(), ContentType: r.Header.Get("Content-Type"), Body: body,
		Keys: s.providerKeys(), Fault: fault, Now: time.Now(),
	})
	refused := ""
	if !answer.OK {
		refused = answer.Seen
	}
	p.ledger.deliver(id, refused)
	time.Sleep(delay)
	switch fate {
	case "reset after":
		reset(w)
		return
	case "slow":
		time.Sleep(tryTimeout + 500*time.Millisecond)
	case "http_500":
		answer.Status = http.StatusInternalServerError
	case "not_json":
		answer.Body = []byte("<html>502</html>")
	case "redirect":
		w.Header().Set("Location", "/elsewhere")
		answer.Status = http.StatusFound
	case "empty":
		answer.Body = nil
	case "swell":
		answer.Body = append(answer.Body, make([]byte, 1<<20)...)
	}
	w.Header().Set("Content-Type", answer.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer.Body)))
	w.WriteHeader(answer.Status)
	if fate == "truncated" {
		answer.Body = answer.Body[:len(answer.Body)/2]
	}
	_, _ = w.Write(answer.Body)
}

// reset resets the connection.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// publicKeys are keys that a provider has been reported of.
type publicKeys []*rsa.PublicKey

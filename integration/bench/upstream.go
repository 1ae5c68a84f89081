package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// upstream plays all providers. What a provider costs is not measured: an
// answer is signed when its size is first asked for, and sent as it is from
// then on. It looks at nothing that it gets, and understands in the query
//
//	kib=N    an answer of about N KiB
//	hold=N   no answer before N such requests wait for one
type upstream struct {
	answers sync.Map // path and size -> func() ([]byte, error)
	gate    gate
}

// holdLimit is how long a request waits for the others.
const holdLimit = 20 * time.Second

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	query := r.URL.Query()
	answer, err := u.answer(r.URL.Path, query.Get("kib"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if n, err := strconv.Atoi(query.Get("hold")); err == nil {
		u.gate.wait(r.Context(), n)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer) //nolint:gosec // it is JSON, signed here
}

func (u *upstream) answer(path, kib string) ([]byte, error) {
	sign := func() ([]byte, error) {
		size, err := strconv.Atoi(kib)
		answerTo, ok := answerOf[path]
		if err != nil || !ok {
			return nil, fmt.Errorf("there is no answer to %s of %q KiB", path, kib)
		}
		text, err := answerTo(filler(padOf(size)))
		if err != nil {
			return nil, fmt.Errorf("signing the answer to %s: %w", path, err)
		}
		return []byte(text), nil
	}
	once, _ := u.answers.LoadOrStore(path+" "+kib, sync.OnceValues(sign))
	return once.(func() ([]byte, error))()
}

// serveUpstream runs the upstream on a port until ctx is done.
func serveUpstream(ctx context.Context, port int) error {
	server := &http.Server{
		Addr:    "127.0.0.1:" + strconv.Itoa(port),
		Handler: new(upstream),
		// It also ends connections that were dialled and not used yet, at the
		// moment at which one may be. That would be a failure of the upstream.
		ReadHeaderTimeout: time.Hour,
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// gate lets requests through together.
type gate struct {
	mu      sync.Mutex
	waiting int
	open    chan struct{}
}

// wait returns when n callers wait.
func (g *gate) wait(ctx context.Context, n int) {
	g.mu.Lock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
	open := g.open
	g.waiting++
	if g.waiting >= n {
		close(open)
		g.open, g.waiting = nil, 0
	}
	g.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	case <-time.After(holdLimit):
	}
}

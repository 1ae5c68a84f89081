package vaulttest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"
)

// Fault is what a Proxy does with a request instead of just handing it to
// pass, which is Vault.
type Fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// Cut resets the connection; the request does not reach Vault.
func Cut() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { cut(w) }
}

// LoseAnswer hands the request to Vault and resets the connection instead of
// giving the answer back.
func LoseAnswer() Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(httptest.NewRecorder(), r)
		cut(w)
	}
}

// Slow waits before it hands the request to Vault.
func Slow(delay time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		select {
		case <-time.After(delay):
			pass.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Hang never answers; it ends when the client gives up.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Status answers every request with the given status and a body like Vault's.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, "{\"errors\":[\"vaulttest: %d by request\"]}\n", code)
	}
}

// On applies f to requests whose path begins with prefix, such as
// "/v1/transit/sign/", and passes the others.
func On(prefix string, f Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !strings.HasPrefix(r.URL.Path, prefix) {
			pass.ServeHTTP(w, r)
			return
		}
		f(w, r, pass)
	}
}

// Times applies f to the first n requests that it gets, and passes the rest.
func Times(n int, f Fault) Fault {
	var met atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if met.Add(1) > int64(n) {
			pass.ServeHTTP(w, r)
			return
		}
		f(w, r, pass)
	}
}

// cut resets the connection that w writes to.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	reset(conn)
}

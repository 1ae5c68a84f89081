package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// upstream plays all providers. It looks at nothing that it receives and sends
// answers that were signed once, so that what a provider costs is not measured.
// The query says what is wanted:
//
//	kib=N     an answer of about N KiB
//	tampered  an answer that was changed after it was signed
//	verify    only if the request's signature is right (hongwen), otherwise 400
type upstream struct {
	address string
	keys    map[string]keySet // by path
	answers sync.Map          // path and query -> []byte
}

// startUpstream serves on a free port of 127.0.0.1 until the process ends.
func startUpstream() (*upstream, error) {
	u := &upstream{keys: make(map[string]keySet)}
	for _, p := range providers {
		k, err := loadKeys(p.reference)
		if err != nil {
			return nil, err
		}
		u.keys[p.path] = k
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.address = listener.Addr().String()
	// The default idle timeouts would close connections between two rounds.
	go (&http.Server{Handler: u, ReadHeaderTimeout: time.Hour}).Serve(listener) //nolint:errcheck // it ends with the process
	return u, nil
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.URL.Query().Has("verify") {
		if err := verifyHongwen(u.keys[r.URL.Path].verify, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	answer, err := u.answer(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer) //nolint:gosec // JSON that is made here
}

// answer signs an answer at the first request for it.
func (u *upstream) answer(r *http.Request) ([]byte, error) {
	name := r.URL.Path + "?" + r.URL.RawQuery
	if answer, ok := u.answers.Load(name); ok {
		return answer.([]byte), nil
	}
	i := slices.IndexFunc(providers, func(p provider) bool { return p.path == r.URL.Path })
	kib, err := strconv.Atoi(r.URL.Query().Get("kib"))
	if i < 0 || err != nil {
		return nil, fmt.Errorf("no answer to %s", name)
	}
	answer := providers[i].answer(u.keys[r.URL.Path], padding(kib))
	if r.URL.Query().Has("tampered") {
		answer = strings.Replace(answer, "分账0", "分账1", 1)
	}
	u.answers.Store(name, []byte(answer))
	return []byte(answer), nil
}

// verifyHongwen checks the signature of a sealed hongwen request. The sidecars
// and clients that are compared with ours must do the same work.
func verifyHongwen(key *rsa.PublicKey, body []byte) error {
	var members map[string]string
	if err := json.Unmarshal(body, &members); err != nil {
		return fmt.Errorf("reading a sealed request: %w", err)
	}
	var pairs []string
	for name, value := range members {
		if name != "sign" && value != "" {
			pairs = append(pairs, name+"="+value)
		}
	}
	slices.Sort(pairs) // no name is the beginning of another followed by a sign below "="
	sum := sha256.Sum256([]byte(strings.Join(pairs, "&")))
	signature, err := base64.StdEncoding.DecodeString(members["sign"])
	if err := errors.Join(err, rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)); err != nil {
		return fmt.Errorf("verifying a sealed request: %w", err)
	}
	return nil
}

package vault

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/countersign/caddy-countersign/module/keys"
)

// shared is the client of Vault's api module from which every source derives its
// client, with its address and namespace (api.Client.WithNamespace).
//
// api.NewClient reads the variables VAULT_* whatever configuration it is given, and
// fails where one of them is not valid. There is no other way to make a client. So one
// is made while the package is initialized, when nothing else runs yet, and those
// variables are unset meanwhile.
var shared, errShared = newShared()

func newShared() (*api.Client, error) {
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "VAULT_") && os.Unsetenv(name) == nil {
			defer os.Setenv(name, value) //nolint:errcheck,revive // it was set to this before, and is again at the end
		}
	}
	return api.NewClient(&api.Config{
		Address: api.DefaultAddress,
		HttpClient: &http.Client{
			Transport: router{},
			Timeout:   requestTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // a token must not follow
			},
		},
		DisableRedirects: true,
		MaxRetries:       1000, // retry and the deadline of the context end them
		CheckRetry:       retry,
		Backoff:          func(time.Duration, time.Duration, int, *http.Response) time.Duration { return keys.Jitter(limitPause) },
	})
}

// settingAddress is locked while an address is set: SetAddress also writes it to the
// configuration, which all sources share. Requests do not read it there.
var settingAddress sync.Mutex

// sharedFor returns a client with a namespace and an address.
func sharedFor(namespace, address string) (*api.Client, error) {
	own := shared.WithNamespace(namespace)
	settingAddress.Lock()
	defer settingAddress.Unlock()
	return own, own.SetAddress(address)
}

// limitPause is the pause before a request is sent again that Vault's rate limit has
// refused.
const limitPause = 250 * time.Millisecond

// retry reports whether a request is sent again: only if Vault's rate limit has refused
// it, so that Vault has not processed it, and the deadline allows it. Callers repeat
// requests that fail otherwise.
func retry(ctx context.Context, res *http.Response, err error) (bool, error) {
	if err != nil || res.StatusCode != http.StatusTooManyRequests || ctx.Err() != nil {
		return false, nil //nolint:nilerr // the client returns err itself
	}
	if to, ok := ctx.Value(routeKey{}).(route); ok && to.limited != nil {
		to.limited.Store(time.Now().UnixNano())
	}
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) > 2*limitPause, nil
}

// route is the transport and the address of a request.
type route struct {
	transport *http.Transport
	once      bool
	limited   *atomic.Int64 // when a rate limit has last refused a request, in Unix nanoseconds
}

type routeKey struct{}

// router sends each request over the transport of its source, which is in the
// request's context.
type router struct{}

// RoundTrip makes one request, and bounds the answer that is read.
func (router) RoundTrip(req *http.Request) (*http.Response, error) {
	to := req.Context().Value(routeKey{}).(route)
	if !to.once {
		// Reading, signing and decrypting may be requested twice: with this header
		// net/http repeats the request if an idle connection turned out to be dead. An
		// empty value is not sent.
		req = req.Clone(req.Context())
		req.Header["X-Idempotency-Key"] = nil
	}
	res, err := to.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = bounded{io.LimitReader(res.Body, maxAnswer), res.Body}
	return res, nil
}

// bounded is a body that is read up to a length.
type bounded struct {
	io.Reader
	io.Closer
}

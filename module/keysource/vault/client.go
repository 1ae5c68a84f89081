package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// The time limits of requests to Vault. They are short because a payment may wait for
// them.
const (
	dialTimeout    = 2 * time.Second
	requestTimeout = 5 * time.Second
	useTimeout     = 3 * time.Second // of a signature or decryption, the login included
)

// maxAnswer is the largest answer of Vault that is read, in bytes.
const maxAnswer = 4 << 20

// client makes requests to one Vault.
type client struct {
	api       *api.Client
	transport *http.Transport
	session   *session
	limited   atomic.Int64 // when a rate limit has last refused a request, in Unix nanoseconds
}

func newClient(s *Source) (*client, error) {
	if errShared != nil {
		return nil, i18n.Errorf("keys vault: making a client: %w", errShared)
	}
	// HTTP/1.1 only: a connection without an answer is closed with the request that
	// waited, while HTTP/2 would go on using it. No proxy, because the environment must
	// not decide who sees the keys.
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
	}
	address := s.Address
	if path, ok := strings.CutPrefix(s.Address, "unix://"); ok {
		address = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		}
	}
	if _, err := readCA(s.CA); err != nil {
		return nil, err
	}
	transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialTLS(ctx, network, address, s.CA)
	}
	own, err := sharedFor(s.Namespace, strings.TrimRight(address, "/"))
	if err != nil {
		return nil, i18n.Errorf("keys vault: the address %q: %w", s.Address, err)
	}
	c := &client{api: own, transport: transport}
	c.session = newSession(c, s.Auth)
	return c, nil
}

// dialTLS reads the ca file for each connection, because the file may be replaced while
// the source is in use.
func dialTLS(ctx context.Context, network, address, ca string) (net.Conn, error) {
	roots, err := readCA(ca)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: dialTimeout},
		Config:    &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}
	return dialer.DialContext(ctx, network, address)
}

// readCA reads the certificates that Vault's must come from. It returns nil,
// for those of the system, where there is no file.
func readCA(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, &caError{i18n.Errorf("keys vault: reading the ca file: %w", err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &caError{i18n.Errorf("keys vault: the ca file %s holds no certificate in PEM", file)}
	}
	return pool, nil
}

// request is one request to Vault.
type request struct {
	path  string     // below /v1/, not escaped
	query url.Values // of a read, or nil
	body  any        // of a write; nil makes the request a read
	list  bool       // a read lists what is below the path
	root  bool       // it is asked of the root namespace
	once  bool       // it must not be sent again where the connection broke
}

// read reads a path with the session's token.
func (c *client) read(ctx context.Context, path string) (*api.Secret, error) {
	return c.ask(ctx, request{path: path})
}

// write writes to a path with the session's token.
func (c *client) write(ctx context.Context, path string, body any) (*api.Secret, error) {
	return c.ask(ctx, request{path: path, body: body})
}

// ask makes a request with the session's token. Where Vault denies it because
// it no longer takes the token, it logs in once more.
func (c *client) ask(ctx context.Context, r request) (*api.Secret, error) {
	token, err := c.session.token(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := c.do(ctx, r, token)
	if !isStatus(err, http.StatusForbidden) {
		return secret, err
	}
	// Vault answers 403 both to a dead token and to a policy that lacks
	// something. The default policy lets a living token look at itself.
	if r.path != pathSelf && !isStatus(c.lookup(ctx, token), http.StatusForbidden) {
		return nil, err
	}
	again, err := c.session.replace(ctx, token)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, r, again)
}

// pathSelf is the path at which a token can be looked up with itself.
const pathSelf = "auth/token/lookup-self"

func (c *client) lookup(ctx context.Context, token string) error {
	_, err := c.do(ctx, request{path: pathSelf}, token)
	return err
}

// do makes one request.
func (c *client) do(ctx context.Context, r request, token string) (*api.Secret, error) {
	text, err := c.raw(ctx, r, token)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return new(api.Secret), nil
	}
	secret, err := api.ParseSecret(bytes.NewReader(text))
	if err != nil {
		return nil, i18n.Errorf("vault's answer for %s is not what vault sends; check the address", r.path)
	}
	return secret, nil
}

// raw makes one request and returns the answer as it came.
func (c *client) raw(ctx context.Context, r request, token string) ([]byte, error) {
	ctx = context.WithValue(ctx, routeKey{}, route{c.transport, r.once, &c.limited})
	target := c.api
	if r.root {
		target = target.WithNamespace("")
	}
	logical := target.WithRequestCallbacks(func(r *api.Request) {
		r.ClientToken = token
		r.WrapTTL = "" // which the api takes from VAULT_WRAP_TTL at each request
	}).Logical()
	var res *api.Response
	var err error
	if r.body == nil {
		query := r.query
		if r.list {
			query = url.Values{"list": {"true"}}
		}
		res, err = logical.ReadRawWithDataWithContext(ctx, r.path, query)
	} else {
		text, marshalErr := json.Marshal(r.body)
		if marshalErr != nil {
			return nil, i18n.Errorf("writing a request to vault for %s: %w", r.path, marshalErr)
		}
		res, err = logical.WriteRawWithContext(ctx, r.path, text)
	}
	if res != nil && res.Body != nil {
		defer res.Body.Close() //nolint:errcheck // it was only read
	}
	if refused, ok := errors.AsType[*api.ResponseError](err); ok {
		return nil, newStatusError(r, refused.StatusCode, refused.Errors)
	}
	if err != nil {
		return nil, i18n.Errorf("asking vault for %s: %w", r.path, describe(err))
	}
	if res.StatusCode >= http.StatusMultipleChoices { // the api passes redirects as answers
		return nil, newStatusError(r, res.StatusCode, nil)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, i18n.Errorf("reading vault's answer for %s: %w", r.path, describe(err))
	}
	return text, nil
}

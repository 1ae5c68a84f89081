package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// The time limits of one request to Vault. They are short because a payment
// may wait for it.
const (
	dialTimeout    = 2 * time.Second
	requestTimeout = 5 * time.Second
)

// maxAnswer is the largest answer of Vault that is read, in bytes.
const maxAnswer = 4 << 20

// client makes requests to Vault. The api module's own client reads VAULT_*
// from the environment whatever it is told, and does not start if one of them
// is nonsense; so only the answers are read with that module.
type client struct {
	base      string
	namespace string
	http      *http.Client
	session   *session
}

func newClient(s *Source) (*client, error) {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: requestTimeout,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	base := strings.TrimSuffix(s.Address, "/")
	if path, ok := strings.CutPrefix(s.Address, "unix://"); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		}
	}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("keys vault: reading the ca file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("keys vault: the ca file %s holds no certificate in PEM", s.CA)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	c := &client{base: base, namespace: s.Namespace, http: &http.Client{
		Transport: transport,
		Timeout:   requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a token must not follow
		},
	}}
	c.session = &session{client: c, auth: s.Auth}
	return c, nil
}

// read reads a path with the session's token.
func (c *client) read(ctx context.Context, path string) (*api.Secret, error) {
	return c.ask(ctx, http.MethodGet, path, nil)
}

// write writes to a path with the session's token.
func (c *client) write(ctx context.Context, path string, body any) (*api.Secret, error) {
	return c.ask(ctx, http.MethodPost, path, body)
}

// ask makes a request with the session's token. Where Vault denies it because
// it no longer knows the token, it logs in once more.
func (c *client) ask(ctx context.Context, method, path string, body any) (*api.Secret, error) {
	token, err := c.session.token(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := c.do(ctx, method, path, token, body)
	if !isStatus(err, http.StatusForbidden) {
		return secret, err
	}
	// Vault answers 403 both to a dead token and to a policy that lacks
	// something. The default policy lets a living token look at itself.
	if path != "auth/token/lookup-self" {
		if _, self := c.do(ctx, http.MethodGet, "auth/token/lookup-self", token, nil); !isStatus(self, http.StatusForbidden) {
			return nil, err
		}
	}
	c.session.drop(token)
	again, loginErr := c.session.token(ctx)
	if loginErr != nil {
		return nil, loginErr
	}
	if again == token {
		return nil, fmt.Errorf("vault no longer takes the token; the file of the token must be written again: %w", err)
	}
	return c.do(ctx, method, path, again, body)
}

// do makes one request.
func (c *client) do(ctx context.Context, method, path, token string, body any) (*api.Secret, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("writing a request to vault: %w", err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/v1/"+path, payload)
	if err != nil {
		return nil, fmt.Errorf("making a request to vault for %s: the path is not usable", path)
	}
	req.Header.Set("X-Vault-Request", "true")
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	if c.namespace != "" {
		req.Header.Set("X-Vault-Namespace", c.namespace)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking vault for %s: %w", path, describe(err))
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading vault's answer for %s: %w", path, describe(err))
	}
	if res.StatusCode >= 300 {
		return nil, &statusError{method: method, path: path, status: res.StatusCode, body: text}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return new(api.Secret), nil
	}
	secret, err := api.ParseSecret(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("vault's answer for %s is not what vault sends", path)
	}
	return secret, nil
}

// statusError is an answer of Vault that is no success. Its text holds nothing
// of what Vault wrote.
type statusError struct {
	method, path string
	status       int
	body         []byte
}

// Error says what was asked, what the status means, and what to change.
func (e *statusError) Error() string {
	switch e.status {
	case http.StatusForbidden:
		policyPath, _, _ := strings.Cut(e.path, "?")
		capability := "read"
		if e.method == http.MethodPost {
			capability = "update"
		}
		return fmt.Sprintf("vault denies %s on %s; the policy needs: path %q { capabilities = [%q] }", capability, policyPath, policyPath, capability)
	case http.StatusNotFound:
		return "vault has nothing at " + e.path
	case http.StatusTooManyRequests:
		return "vault answers 429 (too many requests) for " + e.path
	case http.StatusServiceUnavailable:
		return "vault is sealed or not ready (503), asked for " + e.path
	default:
		return fmt.Sprintf("vault answers %d for %s", e.status, e.path)
	}
}

func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && e.status == status
}

// describe keeps of an HTTP client's error what is known to quote nothing.
func describe(err error) error {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return errors.New("it did not answer in time")
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New("the name " + e.Name + " does not resolve")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return errors.New("no connection: " + e.Err.Error())
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("its certificate does not verify; check the address and the option ca")
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("it was given up")
	}
	return errors.New("the connection broke")
}

package redis

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
)

// clients are the clients of all configurations: a reload keeps the connections of a
// store that did not change.
var clients = caddy.NewUsagePool()

// client is a client that closes when no configuration uses it and every claim has
// ended: an acknowledgement that comes after a reload must still be stored.
type client struct {
	*redis.Client

	mu     sync.Mutex
	held   int  // claims and calls
	unused bool // by any configuration
}

func (c *client) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held++
}

func (c *client) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held--
	c.closeIfIdle()
}

// Destruct closes the client, now or when the last claim ends.
func (c *client) Destruct() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unused = true
	c.closeIfIdle()
	return nil
}

func (c *client) closeIfIdle() {
	if c.unused && c.held == 0 {
		_ = c.Close()
	}
}

// options returns the client's options, and what makes two configurations the
// same. No error quotes the address, in which a password may stand.
func (s *Store) options() (*redis.Options, string, error) {
	resolved := struct {
		Address, Username, Password, CA string
		Timeout                         caddy.Duration
	}{Timeout: s.Timeout, CA: s.CA}
	repl := caddy.NewReplacer()
	for _, option := range []struct {
		name, text string
		target     *string
	}{
		{"address", s.Address, &resolved.Address},
		{"username", s.Username, &resolved.Username},
		{"password", s.Password, &resolved.Password},
	} {
		text, err := repl.ReplaceOrErr(option.text, true, true)
		if err != nil {
			return nil, "", i18n.Errorf("the %s of redis: %w", option.name, err)
		}
		*option.target = text
	}
	o, err := parseAddress(resolved.Address)
	if err != nil {
		return nil, "", err
	}
	if resolved.Username != "" {
		o.Username = resolved.Username
	}
	if resolved.Password != "" {
		o.Password = resolved.Password
	}
	if o.TLSConfig == nil && o.Network == "tcp" && !s.AllowPlaintext && !local(o.Addr) {
		return nil, "", i18n.Errorf("redis at %s is on another machine and not TLS: use rediss://, or allow_plaintext", o.Addr)
	}
	if s.CA != "" {
		if err := trust(o, s.CA); err != nil {
			return nil, "", err
		}
	}
	timeout := time.Duration(s.Timeout)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
	o.ContextTimeoutEnabled = true
	o.MaxRetries, o.DialerRetries = 1, 1 // the provider sends again; who waits here holds its connection
	o.DisableIdentity = true             // older servers do not know it
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	text, err := json.Marshal(resolved) //nolint:gosec // it is hashed, as the key of the configuration
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(text)
	return o, hex.EncodeToString(sum[:]), nil
}

func parseAddress(address string) (*redis.Options, error) {
	hint := i18n.Errorf("the address of redis must be like redis://127.0.0.1:6379/0, rediss://… or unix:///path")
	if address == "" {
		return nil, i18n.Errorf("the store redis needs an address, as in: once 24h redis://127.0.0.1:6379/0")
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, hint
	}
	// Parameters could turn off TLS verification and time limits.
	if query := u.Query(); len(query) > 0 && (u.Scheme != "unix" || len(query) > 1 || !query.Has("db")) {
		return nil, i18n.Errorf("%w; parameters behind ? are not taken, except db with unix://", hint)
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, hint
	}
	return o, nil
}

// local reports whether an address, host:port, is on this machine.
func local(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && network.Local("tcp", host)
}

// trust makes the client trust the authorities in a file and no others.
func trust(o *redis.Options, file string) error {
	if o.TLSConfig == nil {
		return i18n.Errorf("ca is only for rediss://")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return i18n.Errorf("reading the ca of redis: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return i18n.Errorf("the ca of redis %s holds no certificate in PEM", file)
	}
	o.TLSConfig.MinVersion = tls.VersionTLS12
	o.TLSConfig.RootCAs = pool
	return nil
}

// The client's messages go to Caddy's log at level debug, without their arguments,
// which can quote the wire. Every failure is also returned as an error.
func init() { redis.SetLogger(clientLog{}) }

type clientLog struct{}

// Printf writes one message.
func (clientLog) Printf(_ context.Context, format string, _ ...any) {
	caddy.Log().Named("countersign.stores.redis").Debug("client", zap.String("message", format))
}

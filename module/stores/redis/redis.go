// Package redis is the store that several replicas share, on a Redis server
// from version 6 or anything that speaks like one.
//
// The key of a notification holds one value at a time: "claim " and the owner
// while the application is being asked, with the lease as its time to live, or
// "answer " and the answer as JSON. Claiming is one SET NX, finishing one SET,
// and releasing compares and deletes in a script, so that a holder whose lease
// has run out cannot take away another's claim.
package redis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/stores"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// The defaults of the options.
const (
	DefaultPrefix  = "countersign:"
	DefaultTimeout = time.Second
)

// Store remembers notifications in Redis, for all replicas that use the same server,
// database and prefix. Redis should run without eviction (or with volatile-ttl and
// enough memory): a notification that it evicts would reach the application again.
// Cluster and Sentinel are not supported.
type Store struct {
	// The URL of the server: redis://host:port/db, rediss:// for TLS, or unix:///path.
	// It may contain a user and a password. Placeholders such as {env.X} are replaced.
	// Required.
	Address string `json:"address"`

	// The user, instead of that in the address. Placeholders such as {env.X} and {file.X}
	// are replaced. Default: none.
	Username string `json:"username,omitempty"`

	// The password, instead of that in the address. Placeholders such as {env.X} and
	// {file.X} are replaced. Default: none.
	Password string `json:"password,omitempty"`

	// The beginning of all keys. Default: "countersign:".
	Prefix string `json:"prefix,omitempty"`

	// The time limit of one call, with the dial. Default: 1s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// A PEM file with the certificate authorities of the server, with rediss://.
	// Default: those of the system.
	CA string `json:"ca,omitempty"`

	// Allows a server without TLS on another machine: everybody on the network path can
	// read the password, and suppress notifications. Default: false.
	AllowPlaintext bool `json:"allow_plaintext,omitempty"`

	client *client
	pool   string
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.stores.redis",
		New: func() caddy.Module { return new(Store) },
	}
}

// Provision sets up the client. It does not connect.
func (s *Store) Provision(caddy.Context) error {
	if s.Prefix == "" {
		s.Prefix = DefaultPrefix
	}
	if s.Timeout == 0 {
		s.Timeout = caddy.Duration(DefaultTimeout)
	}
	if s.Timeout < 0 {
		return i18n.Errorf("the timeout of redis must be positive")
	}
	options, identity, err := s.options()
	if err != nil {
		return err
	}
	value, _, err := clients.LoadOrNew(identity, func() (caddy.Destructor, error) {
		return &client{Client: redis.NewClient(options)}, nil
	})
	if err != nil {
		return err
	}
	s.client, s.pool = value.(*client), identity
	return nil
}

// Cleanup releases the client. Claims can still be finished.
func (s *Store) Cleanup() error {
	if s.pool == "" {
		return nil
	}
	_, err := clients.Delete(s.pool)
	return err
}

// The two kinds of values.
var (
	claimMark  = []byte("claim ")
	answerMark = []byte("answer ")
)

func claimOf(owner string) []byte { return append(bytes.Clone(claimMark), owner...) }

// Claim claims a key.
func (s *Store) Claim(ctx context.Context, key, owner string, lease time.Duration) (stores.State, *stores.Answer, error) {
	s.client.hold()
	state, answer, err := s.claim(ctx, key, owner, lease)
	if state != stores.Claimed {
		s.client.letGo() // a claim keeps the client until it is finished or released
	}
	return state, answer, err
}

func (s *Store) claim(ctx context.Context, key, owner string, lease time.Duration) (stores.State, *stores.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	err := s.client.SetArgs(ctx, s.Prefix+key, claimOf(owner), redis.SetArgs{Mode: "NX", TTL: lease}).Err()
	switch {
	case err == nil:
		return stores.Claimed, nil, nil
	case !errors.Is(err, redis.Nil):
		return 0, nil, s.failed(i18n.T("claiming a notification"), err)
	}
	value, err := s.client.Get(ctx, s.Prefix+key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return stores.Running, nil, nil // it ended in between: the next try gets it
	case err != nil:
		return 0, nil, s.failed(i18n.T("looking up a notification"), err)
	}
	if holder, ok := bytes.CutPrefix(value, claimMark); ok {
		if string(holder) == owner {
			return stores.Claimed, nil, nil // the client sent SET twice, and the first came through
		}
		return stores.Running, nil, nil
	}
	text, ok := bytes.CutPrefix(value, answerMark)
	answer := new(stores.Answer)
	if !ok || json.Unmarshal(text, answer) != nil || answer.Status < 200 || answer.Status > 299 {
		return 0, nil, i18n.Errorf("redis holds something under the key of a notification that this store has not written; give it a prefix or a database of its own")
	}
	return stores.Remembered, answer, nil
}

// Finish keeps an answer.
func (s *Store) Finish(ctx context.Context, key, _ string, answer *stores.Answer, keep time.Duration) error {
	defer s.client.letGo()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	text, err := json.Marshal(answer)
	if err != nil {
		return i18n.Errorf("writing the answer for redis: %w", err)
	}
	if err := s.client.Set(ctx, s.Prefix+key, append(bytes.Clone(answerMark), text...), keep).Err(); err != nil {
		return s.failed(i18n.T("remembering a notification"), err)
	}
	return nil
}

// release deletes a claim if it is still the owner's.
var release = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// Release ends a claim without an answer.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	defer s.client.letGo()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	if err := release.Run(ctx, s.client, []string{s.Prefix + key}, claimOf(owner)).Err(); err != nil {
		return s.failed(i18n.T("giving back a notification"), err)
	}
	return nil
}

// failed names the server, never the password.
func (s *Store) failed(what i18n.Text, err error) error {
	return i18n.Errorf("%v: redis at %s: %w", what, s.client.Options().Addr, describe(err))
}

// errorCode is the word that a server's error begins with, such as WRONGPASS.
var errorCode = regexp.MustCompile(`^[A-Z]{2,20}\b`)

// describe returns the part of an error that quotes nothing. A server quotes a command
// that it does not know, with AUTH the password, and the client quotes an answer that
// it cannot parse.
func describe(err error) error {
	if served, ok := errors.AsType[redis.Error](err); ok {
		if code := errorCode.FindString(served.Error()); code != "" {
			return i18n.Errorf("it answers %s", code)
		}
		return i18n.Errorf("it answers with an error")
	}
	return network.Describe(err)
}

var (
	_ stores.Store       = (*Store)(nil)
	_ caddy.Provisioner  = (*Store)(nil)
	_ caddy.CleanerUpper = (*Store)(nil)
)

// Package memory is the store that remembers notifications in this process. It is the
// default, for a single replica: other replicas do not share it, and a restart loses
// it.
package memory

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/directive"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// The defaults of the bounds.
const (
	DefaultMaxEntries = 100_000
	DefaultMaxBytes   = 64 << 20
)

// Store remembers notifications in this process, also over reloads as long as its
// bounds do not change. All handlers with the same bounds share one memory. Beyond a
// bound the oldest answer is dropped first, with a warning in the log: a repeat of that
// notification would reach the application.
type Store struct {
	// The largest number of notifications that are remembered. The limit of
	// reservations of budgets and orders is ten times as high; beyond it requests are
	// refused with store_unavailable. Default: 100000.
	MaxEntries int `json:"max_entries,omitempty"`

	// The largest size of the notifications in bytes, with their answers. Default: 64
	// MiB.
	MaxBytes int64 `json:"max_bytes,omitempty"`

	table *table
	pool  string
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.stores.memory",
		New: func() caddy.Module { return new(Store) },
	}
}

// tables are the memories of all configurations.
var tables = caddy.NewUsagePool()

// Provision finds the memory of an earlier configuration with the same bounds, or makes
// one.
func (s *Store) Provision(caddy.Context) error {
	if s.MaxEntries == 0 {
		s.MaxEntries = DefaultMaxEntries
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	if s.MaxEntries < 0 || s.MaxBytes < 0 {
		return i18n.Errorf("max_entries and max_bytes must be positive")
	}
	pool := fmt.Sprintf("%d %d", s.MaxEntries, s.MaxBytes)
	value, _, err := tables.LoadOrNew(pool, func() (caddy.Destructor, error) {
		return newTable(s.MaxEntries, s.MaxBytes), nil
	})
	if err != nil {
		return err
	}
	s.table, s.pool = value.(*table), pool
	return nil
}

// Cleanup releases the memory. Claims can still be finished.
func (s *Store) Cleanup() error {
	if s.pool == "" {
		return nil
	}
	_, err := tables.Delete(s.pool)
	return err
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	memory {
//	    max_entries <number>
//	    max_bytes   <size>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "memory"
	if d.NextArg() {
		return d.WrapErr(i18n.Errorf("the store memory takes no arguments"))
	}
	for d.NextBlock(0) {
		switch option := d.Val(); option {
		case "max_entries":
			var value string
			if err := directive.Text(d, option, &value); err != nil {
				return err
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return d.WrapErr(i18n.Errorf("max_entries must be a number from 1, not %q", value))
			}
			s.MaxEntries = n
		case "max_bytes":
			if err := directive.Size(d, option, &s.MaxBytes); err != nil {
				return err
			}
		default:
			return d.WrapErr(i18n.Errorf("unknown option %q of the store memory; it has max_entries and max_bytes", option))
		}
	}
	return nil
}

// Claim claims a key. It fails only when the memory is full of claims.
func (s *Store) Claim(_ context.Context, key, owner string, lease time.Duration) (stores.State, *stores.Answer, error) {
	return s.table.claim(key, owner, lease)
}

// Finish keeps an answer.
func (s *Store) Finish(_ context.Context, key, _ string, answer *stores.Answer, keep time.Duration) error {
	s.table.finish(key, answer, keep)
	return nil
}

// Release ends a claim without an answer.
func (s *Store) Release(_ context.Context, key, owner string) error {
	s.table.release(key, owner)
	return nil
}

var (
	_ stores.Store          = (*Store)(nil)
	_ caddy.Provisioner     = (*Store)(nil)
	_ caddy.CleanerUpper    = (*Store)(nil)
	_ caddyfile.Unmarshaler = (*Store)(nil)
)

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profiles drives each Caddy once more and keeps its CPU profile for `go tool
// pprof`.
func (b *bench) profiles(ctx context.Context, targets []*target) error {
	if err := os.MkdirAll(b.profile, 0o750); err != nil {
		return err
	}
	client := newClient(typical.connections)
	defer client.CloseIdleConnections()
	for _, t := range targets {
		if t.kind == peer {
			continue
		}
		b.progress("profiling %s", t.name)
		driven := make(chan error, 1)
		go func() {
			_, err := t.drive(ctx, client, typical, "", 6*time.Second)
			driven <- err
		}()
		profile, err := t.fetchProfile(ctx)
		if err != nil {
			return fmt.Errorf("profiling %s: %w", t.name, err)
		}
		if err := <-driven; err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.profile, filepath.Base(t.path)+".pprof"), profile, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// fetchProfile has Caddy's admin endpoint make a profile of five seconds.
func (t *target) fetchProfile(ctx context.Context) ([]byte, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", t.path+".sock")
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/debug/pprof/profile?seconds=5", nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	return io.ReadAll(res.Body)
}

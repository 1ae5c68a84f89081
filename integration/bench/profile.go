package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profiles drives each target once more and keeps its CPU and allocation
// profiles, for `go tool pprof`.
func (b *bench) profiles(ctx context.Context) error {
	if err := os.MkdirAll(b.options.profile, 0o750); err != nil {
		return err
	}
	for _, s := range b.servers {
		for _, t := range s.targets {
			if err := b.profileOf(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) profileOf(ctx context.Context, t *target) error {
	const seconds = 5
	ended := make(chan error, 1)
	go func() {
		_, err := drive(ctx, t, load{16, 1}, (seconds+1)*time.Second)
		ended <- err
	}()
	name := filepath.Join(b.options.profile, t.server.name()+"-"+t.name)
	err := fetch(ctx, t.server.socket(), fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), name+".cpu")
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	return fetch(ctx, t.server.socket(), "/debug/pprof/allocs", name+".allocs")
}

// fetch saves an answer of Caddy's admin endpoint.
func fetch(ctx context.Context, socket, path, file string) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("fetching a profile: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, res.Body); err != nil {
		return err
	}
	return out.Close()
}

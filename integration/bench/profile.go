package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profiles drives each target once more and keeps its CPU and allocation
// profiles, for `go tool pprof`.
func (b *bench) profiles(ctx context.Context, f *flavour) error {
	if err := os.MkdirAll(b.options.profile, 0o750); err != nil {
		return err
	}
	const seconds = 5
	for _, t := range b.targets {
		ended := make(chan error, 1)
		go func() {
			_, err := b.drive(ctx, f, t, 16, 1, (seconds+1)*time.Second)
			ended <- err
		}()
		socket := filepath.Join(b.dir, f.name+".sock")
		if t.audit {
			socket = filepath.Join(b.dir, f.name+"-audit.sock")
		}
		name := filepath.Join(b.options.profile, f.name+"-"+strings.ReplaceAll(t.name, " ", "_"))
		if err := b.fetch(ctx, socket, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), name+".cpu"); err != nil {
			return err
		}
		if err := <-ended; err != nil {
			return err
		}
		if err := b.fetch(ctx, socket, "/debug/pprof/allocs", name+".allocs"); err != nil {
			return err
		}
	}
	return nil
}

// fetch saves an answer of Caddy's admin endpoint.
func (b *bench) fetch(ctx context.Context, socket, path, file string) error {
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

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

// admin calls the admin endpoint of a Caddy and copies its answer to w.
func (t *target) admin(ctx context.Context, method, path, body string, w io.Writer) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", t.file(".sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("calling the admin endpoint of %s: %w", t.name, err)
	}
	defer res.Body.Close() //nolint:errcheck // it is read to its end
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("calling the admin endpoint of %s: status %d", t.name, res.StatusCode)
	}
	_, err = io.Copy(w, res.Body)
	return err
}

// reload has a Caddy load its configuration again, changed by a comment's worth.
func (t *target) reload(ctx context.Context, upstream string) error {
	config := strings.Replace(caddyfile(t, upstream), "auto_https off", fmt.Sprintf("auto_https off\n\tgrace_period %dms", 5000+time.Now().UnixMilli()%1000), 1)
	return t.admin(ctx, http.MethodPost, "/load", config, io.Discard)
}

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
		file, err := os.Create(filepath.Join(b.profile, filepath.Base(t.file(".pprof"))))
		if err != nil {
			return err
		}
		b.progress("profiling %s", t.name)
		driven := make(chan error, 1)
		go func() {
			_, err := t.drive(ctx, client, typical, "", 6*time.Second)
			driven <- err
		}()
		err = t.admin(ctx, http.MethodGet, "/debug/pprof/profile?seconds=5", "", file)
		if err == nil {
			err = <-driven
		}
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// measureReload sends 200 requests a second to the plain proxy and to the sidecar, without
// reloads and with one a second.
func (b *bench) measureReload(ctx context.Context) error {
	for _, t := range []*target{b.newPlain(), b.newSidecar("jeepay")} {
		stop, err := b.start(ctx, t)
		if err == nil {
			err = b.reloads(ctx, t)
			stop()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) reloads(ctx context.Context, t *target) error {
	const span = 10 * time.Second
	for _, reloads := range []int{0, int(span / time.Second)} {
		loaded := make(chan error, 1)
		go func() { loaded <- t.reload(ctx, reloads) }()
		var took []time.Duration
		failed, example := 0, ""
		for _, s := range t.openLoop(ctx, typical, 200, span) {
			if s.err != nil {
				failed, example = failed+1, fmt.Sprintf(" (%v)", s.err)
			}
			took = append(took, s.took)
		}
		if err := <-loaded; err != nil {
			return err
		}
		b.note("%s, 200 requests of 1 KiB a second for %s, %d reloads: p50 %.1f ms, p99 %.1f ms, %d failed%s.",
			t.name, span, reloads, percentile(took, 50)/1000, percentile(took, 99)/1000, failed, example)
	}
	return nil
}

// reload loads the configuration again, n times, a second apart.
func (t *target) reload(ctx context.Context, n int) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", t.path+".sock")
	}}}
	defer client.CloseIdleConnections()
	config, err := admin(ctx, client, http.MethodGet, "/config/", nil)
	for i := 0; i < n && err == nil; i++ {
		time.Sleep(900 * time.Millisecond)
		_, err = admin(ctx, client, http.MethodPost, "/load", config)
	}
	return err
}

// admin asks Caddy's admin API.
func admin(ctx context.Context, client *http.Client, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://caddy"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Cache-Control", "must-revalidate") // load it though it is the same
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking Caddy: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it is read to its end
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("asking Caddy for %s: status %d: %s", path, res.StatusCode, text)
	}
	return text, err
}

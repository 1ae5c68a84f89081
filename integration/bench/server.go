package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is one Caddy. Each arrangement has one of its own, so that what the
// others hold in memory is not measured with it.
type server struct {
	flavour     *flavour
	arrangement arrangement
	upstream    int // port
	metrics     int // port
	pid         int
	dir         string
	targets     []*target
}

// arrangement is where the keys come from and what is recorded.
type arrangement string

// The arrangements. Plain is a Caddy without the sidecar in its configuration, and
// seldom is the same when it collects garbage about as seldom as the sidecar does.
const (
	plain   arrangement = "plain"
	seldom  arrangement = "plain, GOGC=400"
	files   arrangement = "file keys"
	audited arrangement = "file keys, audit entry to a file"
	kv      arrangement = "Vault KV"
	transit arrangement = "Vault Transit"
)

func (a arrangement) sidecar() bool { return a != plain && a != seldom }

func (s *server) name() string {
	return s.flavour.name + "-" + strings.NewReplacer(" ", "-", ",", "", "=", "").Replace(string(s.arrangement))
}

func (s *server) socket() string { return filepath.Join(s.dir, s.name()+".sock") }

// caddyfile is the configuration, with a site for each target. Source is the
// source of keys.
func (s *server) caddyfile(source string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `{
	admin unix//%s|0600
	persist_config off
	auto_https off
	log default {
		output discard
		exclude http.countersign.audit
	}
`, s.socket())
	if s.arrangement == audited {
		fmt.Fprintf(&text, "\tlog audited {\n\t\toutput file %s {\n\t\t\troll_disabled\n\t\t}\n\t\tinclude http.countersign.audit\n\t}\n",
			filepath.Join(s.dir, s.name()+".audit"))
	}
	if s.arrangement.sidecar() {
		fmt.Fprintf(&text, "\tcountersign {\n%s\t}\n", indent(source, 2))
	}
	fmt.Fprintf(&text, "}\nhttp://127.0.0.1:%d {\n\tbind 127.0.0.1\n\tmetrics\n}\n", s.metrics)
	for _, t := range s.targets {
		fmt.Fprintf(&text, "http://127.0.0.1:%d {\n\tbind 127.0.0.1\n", t.port)
		if !s.arrangement.sidecar() {
			fmt.Fprintf(&text, "\treverse_proxy 127.0.0.1:%d\n}\n", s.upstream)
			continue
		}
		fmt.Fprintf(&text, "\tcountersign %s 127.0.0.1:%d {\n%s\t}\n}\n", t.scheme, s.upstream, indent(t.options, 2))
	}
	return text.String()
}

func indent(lines string, by int) string {
	var text strings.Builder
	for line := range strings.SplitSeq(lines, "\n") {
		text.WriteString(strings.Repeat("\t", by) + line + "\n")
	}
	return text.String()
}

// startServer starts a Caddy on one core, and waits until it can seal.
func (b *bench) startServer(ctx context.Context, s *server) error {
	s.dir = b.dir
	source := "keys file keys-dev/merchant"
	if s.arrangement == kv || s.arrangement == transit {
		source = b.vault.source()
	}
	config := filepath.Join(b.dir, s.name()+".Caddyfile")
	if err := os.WriteFile(config, []byte(s.caddyfile(source)), 0o600); err != nil {
		return err
	}
	env := []string{"GOGC=", "GOMAXPROCS=1", "XDG_DATA_HOME=" + b.dir, "XDG_CONFIG_HOME=" + b.dir}
	if s.arrangement == seldom {
		env = append(env, "GOGC=400")
	}
	pid, err := b.start(ctx, env, s.name()+".log", s.flavour.caddy, "run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return err
	}
	s.pid = pid
	if err := waitFor(ctx, s.metrics); err != nil {
		log, _ := os.ReadFile(filepath.Join(b.dir, s.name()+".log"))
		return fmt.Errorf("starting Caddy (%s): %w\n%s", s.name(), err, log)
	}
	return pin(pid, caddyCore())
}

// waitFor waits until a port takes connections.
func waitFor(ctx context.Context, port int) error {
	address := "127.0.0.1:" + strconv.Itoa(port)
	for start := time.Now(); time.Since(start) < 30*time.Second && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			return conn.Close()
		}
	}
	return errors.New("nothing listens on " + address)
}

// mallocs is how many objects Caddy has allocated, as its metrics tell.
func (s *server) mallocs(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(s.metrics)+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading Caddy's metrics: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	return metric(res.Body, "go_memstats_mallocs_total")
}

// metric reads one metric without labels.
func metric(r io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(rest, 64)
		}
	}
	return 0, fmt.Errorf("the metrics have no %s", name)
}

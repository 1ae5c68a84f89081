package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// target is one program that is driven, for one provider.
type target struct {
	name      string
	provider  provider
	kind      kind
	command   []string // {port}, {upstream} and {config} in it are replaced
	env       []string // besides the bench's own and GOMAXPROCS=1
	conf      string   // a file that is its configuration, if it is not Caddy; {port}, {upstream}, {folder} and {path} in it are replaced
	cores     string   // as taskset(1) writes them; the measured core unless set
	keys      string   // of a sidecar: key sources and the reference, the provider's development keys unless set
	reference string
	recipe    string // of a sidecar: the recipe of its scheme, unless it ships
	options   string // of a sidecar: options of the directive, besides those of the provider
	audit     bool   // of a sidecar: audit entries go to a file
	sets      int    // number of key sets that requests alternate between (jeepay)
	bare      string // what computes with private keys, and so the floor: go or openssl
	inProcess bool   // it drives the provider directly

	path    string // of its files, without an extension
	port    int
	url     string
	cmd     *exec.Cmd
	in      io.Writer     // its standard input
	replies *json.Decoder // its standard output
	start   time.Duration // from its start to its first answer
	idle    float64       // MiB resident before the load
}

// kind is what a target is.
type kind int

const (
	plain   kind = iota // Caddy's reverse_proxy, which looks at nothing
	sidecar             // Caddy with the directive countersign
	peer                // the same work by other means
)

// bodies returns the requests that are posted one after another.
func (t *target) bodies(kib int) [][]byte {
	body := t.provider.request(padding(kib))
	if t.sets == 0 {
		return [][]byte{[]byte(body)}
	}
	all := make([][]byte, t.sets)
	for i := range all {
		all[i] = []byte(strings.Replace(body, "M1623997351", setName(i), 1))
	}
	return all
}

// setName returns the merchant number of a key set among many.
func setName(i int) string { return fmt.Sprintf("M%010d", i) }

// caddyfile returns the configuration of a Caddy with one site.
func (t *target) caddyfile(upstream string) string {
	var logs, app string
	if t.audit {
		logs = fmt.Sprintf("log audit {\n output file %s.audit {\n roll_disabled\n }\n include http.countersign.audit\n }", t.path)
	}
	site := "reverse_proxy " + upstream
	if t.kind == sidecar {
		app = fmt.Sprintf("countersign {\n %s\n %s\n }", cmp.Or(t.keys, "keys file keys-dev/merchant"), t.recipe)
		site = fmt.Sprintf("countersign %s %s {\n keys %s\n %s\n %s\n }", t.provider.scheme, upstream,
			cmp.Or(t.reference, t.provider.reference), t.provider.options, t.options)
	}
	return fmt.Sprintf(`{
	admin unix//%s.sock|0600
	persist_config off
	auto_https off
	log default {
		output discard
		exclude http.countersign.audit
	}
	%s
	%s
}
http://127.0.0.1:%d {
	bind 127.0.0.1
	%s
}
`, t.path, logs, app, t.port, site)
}

// configure writes the program's configuration.
func (t *target) configure(b *bench) error {
	var text string
	switch {
	case t.kind != peer:
		text = t.caddyfile(b.upstream)
	case t.conf != "":
		template, err := os.ReadFile(t.conf)
		if err != nil {
			return err
		}
		folder, err := filepath.Abs(filepath.Dir(t.conf))
		if err != nil {
			return err
		}
		text = strings.NewReplacer("{port}", fmt.Sprint(t.port), "{upstream}", b.upstream, "{folder}", folder, "{path}", t.path).Replace(string(template))
	default:
		return nil
	}
	return os.WriteFile(t.path+".conf", []byte(text), 0o600)
}

// run starts the program on its cores, and returns when it has answered.
func (t *target) run(ctx context.Context, b *bench) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("looking for a free port: %w", err)
	}
	t.port = listener.Addr().(*net.TCPAddr).Port
	t.url = fmt.Sprint("http://127.0.0.1:", t.port)
	_ = listener.Close()
	t.path = filepath.Join(b.dir, strings.NewReplacer(" ", "-", ",", "").Replace(t.name))
	if err := t.configure(b); err != nil {
		return err
	}
	log, err := os.Create(t.path + ".log")
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the program writes to it
	command := strings.NewReplacer("{port}", fmt.Sprint(t.port), "{config}", t.path+".conf", "{upstream}", b.upstream).
		Replace(strings.Join(t.command, "\x00"))
	t.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", cmp.Or(t.cores, b.measured)}, strings.Split(command, "\x00")...)...)
	t.cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1", "XDG_DATA_HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir), t.env...)
	t.cmd.Stderr = log
	in, inErr := t.cmd.StdinPipe()
	out, outErr := t.cmd.StdoutPipe()
	t.in, t.replies = in, json.NewDecoder(out)
	began := time.Now()
	if err := errors.Join(inErr, outErr, t.cmd.Start()); err != nil {
		return fmt.Errorf("starting %s: %w", t.name, err)
	}
	if err := t.ready(ctx, began); err != nil {
		text, _ := os.ReadFile(log.Name())
		t.stop()
		return fmt.Errorf("starting %s: %w\n%s", t.name, err, text)
	}
	t.idle = t.resident()
	return nil
}

// ready waits for the first exchange, and then checks that the work is done: the
// request is signed, and an answer that was changed does not come back.
func (t *target) ready(ctx context.Context, began time.Time) (err error) {
	client := newClient(1)
	defer client.CloseIdleConnections()
	exchange := func(query string) error {
		_, err := t.drive(ctx, client, load{1, 1}, query, 0)
		return err
	}
	for err = exchange(""); err != nil; err = exchange("") {
		if time.Since(began) > 20*time.Second || ctx.Err() != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.start = time.Since(began)
	if t.kind != plain && exchange("&tampered") == nil {
		return errors.New("it lets an answer pass that was changed after it was signed")
	}
	if t.provider.scheme == "hongwen" {
		return exchange("&verify")
	}
	return nil
}

func (t *target) stop() {
	if t.cmd != nil && t.cmd.Process != nil {
		_ = t.cmd.Process.Kill()
		_ = t.cmd.Wait()
	}
}

// resident returns the resident memory of the process in MiB.
func (t *target) resident() float64 {
	var pages int
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", t.cmd.Process.Pid))
	_, _ = fmt.Sscan(string(text), new(int), &pages)
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

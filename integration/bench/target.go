package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// target is one program that is driven, for one provider.
type target struct {
	name     string
	provider provider
	kind     kind
	command  []string // the program; "{port}" and "{config}" stand for its port and configuration
	env      []string
	cores    string // as taskset(1) writes them; the measured core unless set

	// Of a sidecar:
	source  string // where keys come from; the development keys unless set
	keys    string // the key reference, the provider's unless set
	options string // of the directive, besides those of the provider
	audit   bool   // audit entries go to a file
	sets    int    // so many key sets are used in turn (jeepay)

	// otherKey says that it signs with a key that is not the development key.
	otherKey bool

	config    func(t *target, upstream string) string
	bare      string // where the time of the bare RSA operations comes from: "go" or "openssl"
	inProcess bool   // drives the provider by itself

	dir     string
	port    int
	url     string
	process *process
	replies *json.Decoder // of a program that drives by itself
	start   time.Duration // from its start to its first answer
	idle    float64       // MiB resident before the load
}

// kind is what a target is.
type kind string

const (
	plain   kind = "reverse_proxy" // Caddy, which looks at nothing
	sidecar kind = "countersign"
	peer    kind = "peer" // does the same work, made by other means
)

func (t *target) signs() bool { return t.kind != plain }

// file returns a path of the target's own in the bench's folder.
func (t *target) file(extension string) string {
	return filepath.Join(t.dir, strings.NewReplacer(" ", "-", ",", "", "(", "", ")", "", "/", "-").Replace(t.name)+extension)
}

// bodies are the requests that are posted in turn.
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

// setName is the merchant number of a key set among many.
func setName(i int) string { return fmt.Sprintf("M%010d", i) }

// caddyfile is the configuration of a Caddy with one site.
func caddyfile(t *target, upstream string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `{
	admin unix//%s|0600
	persist_config off
	auto_https off
	log default {
		output discard
		exclude http.countersign.audit
	}
`, t.file(".sock"))
	if t.audit {
		fmt.Fprintf(&text, "\tlog audit {\n\t\toutput file %s {\n\t\t\troll_disabled\n\t\t}\n\t\tinclude http.countersign.audit\n\t}\n", t.file(".audit"))
	}
	site := "reverse_proxy " + upstream + "\n"
	if t.kind == sidecar {
		fmt.Fprintf(&text, "countersign {\n%s\n}\n", or(t.source, "keys file keys-dev/merchant"))
		site = fmt.Sprintf("countersign %s %s {\nkeys %s\n%s\n%s\n}\n", t.provider.scheme, upstream, or(t.keys, t.provider.reference), t.provider.options, t.options)
	}
	fmt.Fprintf(&text, "}\nhttp://127.0.0.1:%d {\n\tbind 127.0.0.1\n%s}\n", t.port, site)
	return text.String()
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// run starts the program, and returns when it has answered.
func (t *target) run(ctx context.Context, dir, measured, upstream string) (err error) {
	t.dir = dir
	if t.port, err = freePort(); err != nil {
		return err
	}
	t.url = fmt.Sprintf("http://127.0.0.1:%d", t.port)
	if t.config != nil {
		if err := os.WriteFile(t.file(".conf"), []byte(t.config(t, upstream)), 0o600); err != nil {
			return err
		}
	}
	fill := strings.NewReplacer("{port}", fmt.Sprint(t.port), "{config}", t.file(".conf"), "{upstream}", upstream, "{dir}", dir)
	command := make([]string, len(t.command))
	for i, word := range t.command {
		command[i] = fill.Replace(word)
	}
	env := append([]string{"GOMAXPROCS=1", "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, t.env...)
	began := time.Now()
	if t.process, err = start(ctx, or(t.cores, measured), t.file(".log"), env, command[0], command[1:]...); err != nil {
		return err
	}
	t.replies = json.NewDecoder(bufio.NewReader(t.process.out))
	if err := t.ready(ctx); err != nil {
		log, _ := os.ReadFile(t.process.log)
		t.process.stop()
		return fmt.Errorf("starting %s: %w\n%s", t.name, err, log)
	}
	t.start = time.Since(began)
	time.Sleep(200 * time.Millisecond)
	t.idle = t.process.resident()
	return nil
}

// ready waits for the first exchange, and then checks that the work is done: the
// request is signed, and an answer that was changed does not come back.
func (t *target) ready(ctx context.Context) (err error) {
	client := newClient(1)
	defer client.CloseIdleConnections()
	one := load{1, 1}
	for began := time.Now(); time.Since(began) < 20*time.Second && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		if _, err = t.drive(ctx, client, one, "", 0); err == nil {
			break
		}
	}
	if err != nil || !t.signs() {
		return err
	}
	if _, err := t.drive(ctx, client, one, "&tampered", 0); err == nil {
		return errors.New("it lets an answer pass that was changed after it was signed")
	}
	if t.provider.scheme == "hongwen" && !t.otherKey {
		_, err = t.drive(ctx, client, one, "&verify", 0)
	}
	return err
}

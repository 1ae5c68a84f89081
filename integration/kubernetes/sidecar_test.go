package kubernetes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/programs"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// repository is the top of the repository, where keys-dev is.
const repository = "../.."

// process is a Caddy that runs.
type process struct {
	command *exec.Cmd
	log     *syncBuffer
	exited  chan struct{}
	err     error // how it ended, once exited is closed
}

// startCaddy runs Caddy on the Caddyfile in dir, from there, as the pod does.
func startCaddy(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	binary, err := programs.Path(t.Context(), programs.Caddy)
	require.NoError(t, err)
	p := &process{
		command: exec.Command(binary, "run", "--config", "Caddyfile"),
		log:     &syncBuffer{},
		exited:  make(chan struct{}),
	}
	p.command.Dir = dir
	p.command.Env = []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "XDG_DATA_HOME=" + filepath.Join(dir, "data")}
	p.command.Env = append(p.command.Env, env...)
	p.command.Stdout, p.command.Stderr = p.log, p.log
	require.NoError(t, p.command.Start())
	go func() {
		p.err = p.command.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // usually it has ended
		<-p.exited
		if t.Failed() {
			t.Logf("log of Caddy in %s:\n%s", dir, p.log)
		}
	})
	return p
}

// await waits until something is so, while the process runs.
func (p *process) await(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !so() {
		select {
		case <-p.exited:
			require.FailNow(t, "Caddy ended", "before: %s: %v", what, p.err)
		case <-deadline:
			require.FailNow(t, "not in time", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
}

// audit returns the audit entries of exchanges in the log so far.
func (p *process) audit() []auditEntry {
	var entries []auditEntry
	for line := range strings.Lines(p.log.String()) {
		var entry auditEntry
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Logger == "http.countersign.audit" && entry.Message == "exchange" {
			entries = append(entries, entry)
		}
	}
	return entries
}

type auditEntry struct {
	Logger  string `json:"logger"`
	Message string `json:"msg"`
	Scheme  string `json:"scheme"`
	Outcome string `json:"outcome"`
	Verdict string `json:"verdict"`
}

// gate stands before a provider. It has read a request whole, as the provider
// would, when it counts it; then it holds it until it is opened.
type gate struct {
	url     string
	arrived atomic.Int64
	opened  chan struct{}
}

func newGate(t *testing.T, provider string) *gate {
	t.Helper()
	target, err := url.Parse(provider)
	require.NoError(t, err)
	g := &gate{opened: make(chan struct{})}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.ErrorLog = log.New(io.Discard, "", 0) // of clients that hang up, as they should
	g.url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.arrived.Add(1)
		<-g.opened
		pass.ServeHTTP(w, r)
	}))
	return g
}

// open lets everything through, what is held and what comes.
func (g *gate) open() { close(g.opened) }

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}

// startProviders runs the two providers of the example and returns their
// addresses by the name of their scheme.
func startProviders(t *testing.T) map[string]string {
	t.Helper()
	keys, err := filepath.Abs(filepath.Join(repository, "keys-dev/provider"))
	require.NoError(t, err)
	ports := map[string]string{"easypay": networktest.Port(t), "jeepay": networktest.Port(t)}
	config := fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tcountersign {\n\t\tkeys file %s\n\t}\n}\n", keys)
	for scheme, reference := range map[string]string{"easypay": "easypay/ORG000000000007", "jeepay": "jeepay/M1623997351"} {
		config += fmt.Sprintf("http://127.0.0.1:%s {\n\tbind 127.0.0.1\n\troute {\n\t\tcountersign_sandbox %s {\n\t\t\tkeys %s\n\t\t}\n\t}\n}\n", ports[scheme], scheme, reference)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(config), 0o600))
	p := startCaddy(t, dir)
	addresses := map[string]string{}
	for scheme, port := range ports {
		addresses[scheme] = "http://127.0.0.1:" + port
		p.await(t, "provider "+scheme, func() bool {
			connection, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				return false
			}
			return connection.Close() == nil
		})
	}
	return addresses
}

// sidecar is where the files of a pod's ConfigMap lie, and its two ports.
type sidecar struct {
	dir, requests, probes string
}

// layOut writes the files that ship, changed only in what a machine without a
// cluster cannot have. Each change must find its place.
func layOut(t *testing.T, files []string, changes map[string]string) sidecar {
	t.Helper()
	s := sidecar{dir: t.TempDir()}
	requests, probes := networktest.Port(t), networktest.Port(t)
	s.requests, s.probes = "http://127.0.0.1:"+requests, "http://127.0.0.1:"+probes
	changes["http://:8180"] = "http://:" + requests
	changes["http://:8081"] = "http://:" + probes
	missing := map[string]bool{}
	for old := range changes {
		missing[old] = true
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		text := string(content)
		for old, replacement := range changes {
			if strings.Contains(text, old) {
				delete(missing, old)
				text = strings.ReplaceAll(text, old, replacement)
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, filepath.Base(file)), []byte(text), 0o600))
	}
	require.Empty(t, missing, "the files no longer hold what is to be replaced")
	return s
}

// probe returns the status of a probe, 0 where nothing listens.
func (s sidecar) probe(path string) int {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(s.probes + path)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module"
)

// Every target answers verified, with its bodies of every size: Caddy runs in
// this process, with the Caddyfiles of the measurement.
func TestEveryTargetAnswers(t *testing.T) {
	t.Chdir("../..")
	up := httptest.NewServer(new(upstream))
	defer up.Close()
	b := &bench{options: options{full: true}, ports: newPorts(freePorts(t)), flavours: theFlavours()[:1]}
	b.arrange()
	b.ports.upstream = up.Listener.Addr().(*net.TCPAddr).Port
	require.Len(t, b.servers, 4, "plain, the same with GOGC=400, file keys, audited; none without a Vault")
	client := newClient(4)
	defer client.CloseIdleConnections()
	for _, s := range b.servers {
		s.dir, s.upstream = t.TempDir(), b.ports.upstream
		config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(s.caddyfile("keys file keys-dev/merchant")), map[string]any{"filename": "Caddyfile"})
		require.NoError(t, err)
		require.NoError(t, caddy.Load(config, true))
		require.NoError(t, waitFor(t.Context(), s.metrics))
		for _, target := range s.targets {
			for _, kib := range []int{1, 16, 256, requestLimit - largeSpare} {
				body := target.request(padOf(kib))
				assert.InDelta(t, kib<<10, len(body), 400, "%s with %d KiB", target.name, kib)
				require.NoError(t, target.post(t.Context(), client, target.address(kib), []byte(body)), "%s with %d KiB", target.name, kib)
			}
		}
		if s.arrangement == audited {
			entries, err := os.ReadFile(s.dir + "/" + s.name() + ".audit")
			require.NoError(t, err)
			assert.Equal(t, 4*len(s.targets), strings.Count(string(entries), "\n"), "an entry for each exchange")
		}
	}
	require.NoError(t, caddy.Stop())
}

// freePorts is a port behind which there are some that nobody listens on.
func freePorts(t *testing.T) int {
	t.Helper()
	for first := 21000; first < 31000; first += 50 {
		free := true
		for port := first; port < first+40 && free; port++ {
			free = checkPort(port) == nil
		}
		if free {
			return first
		}
	}
	require.Fail(t, "there are no free ports")
	return 0
}

func TestArrange(t *testing.T) {
	b := &bench{ports: newPorts(1024), flavours: theFlavours(), vault: new(vault)}
	b.arrange()
	seen := make(map[int]bool)
	count := make(map[string]int)
	for _, s := range b.servers {
		require.NotEmpty(t, s.targets)
		assert.False(t, seen[s.metrics], "a port of its own")
		seen[s.metrics] = true
		for _, target := range s.targets {
			assert.False(t, seen[target.port], "a port of its own")
			seen[target.port] = true
			count[s.flavour.name+" "+string(s.arrangement)]++
		}
	}
	assert.Less(t, len(seen), 80, "as many as -port says")
	assert.Equal(t, map[string]int{
		"go plain": 1, "go plain, GOGC=400": 1, "go file keys": 6, "go file keys, audit entry to a file": 3, "go Vault KV": 6, "go Vault Transit": 2,
		"fast-rsa plain": 1, "fast-rsa file keys": 3, "fast-rsa Vault KV": 3, "fast-rsa Vault Transit": 2,
	}, count)
	assert.Equal(t, "reverse_proxy", b.base(b.flavours[1]).name)

	b = &bench{options: options{only: "hkrt"}, ports: newPorts(1024), flavours: theFlavours()[:1]}
	b.arrange()
	assert.Len(t, b.servers, 4, "the plain proxy is always there")
}

// What is called bare exists for all that is measured, and signs.
func TestBareOperations(t *testing.T) {
	t.Chdir("../..")
	small, err := merchantSet("easypay/ORG000000000007")
	require.NoError(t, err)
	large, err := merchantSet("hongwen/2014072300007148")
	require.NoError(t, err)
	times, err := bareOperations(small, large, make([]byte, 1<<10))
	require.NoError(t, err)
	for _, s := range []arrangement{files, transit} {
		for _, p := range providers() {
			assert.Positive(t, times[newTarget(&server{arrangement: s}, p, 1).operation], "%s of %s", s, p.name)
		}
	}
	assert.Greater(t, times["sign2048"], times["sign1024"])
	assert.Greater(t, times["sign1024"], times["md5"])
	assert.Greater(t, times["easypay"], times["sign1024"])

	large.Sign.Signer = nil
	assert.Panics(t, func() { _, _ = bareOperations(small, large, make([]byte, 1<<10)) })
}

func TestGate(t *testing.T) {
	var g gate
	var group sync.WaitGroup
	start := time.Now()
	for range 3 {
		for range 4 {
			group.Go(func() { g.wait(t.Context(), 4) })
		}
		group.Wait()
	}
	assert.Less(t, time.Since(start), time.Second)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	g.wait(ctx, 2)
	assert.Error(t, ctx.Err(), "one waits for another")
}

func TestUpstreamRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, address := range []string{"/nowhere?kib=1", "/share/apply", "/share/apply?kib=x"} {
		w := httptest.NewRecorder()
		new(upstream).ServeHTTP(w, httptest.NewRequest(http.MethodPost, address, strings.NewReader("{}")))
		assert.Equal(t, http.StatusNotFound, w.Code, address)
	}
}

func TestOptions(t *testing.T) {
	t.Chdir("../..")
	good := options{rounds: 5, span: time.Second, port: 23400}
	require.NoError(t, good.check())
	for name, change := range map[string]func(*options){
		"-rounds": func(o *options) { o.rounds = 0 },
		"-span":   func(o *options) { o.span = 0 },
		"-only":   func(o *options) { o.only = "jeepay,alipay" },
		"-port":   func(o *options) { o.port = 40000 },
		"-full":   func(o *options) { o.full, o.memory = true, true },
	} {
		bad := good
		change(&bad)
		assert.ErrorContains(t, bad.check(), name)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	assert.ErrorContains(t, checkPort(listener.Addr().(*net.TCPAddr).Port), "another measurement")
}

package observe_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

// audited is global with options of audit.
func audited(options, more string) string {
	return globalWithKeys("audit {\n"+options+"\n}\n", more)
}

// deafCollector accepts connections and does not read. It returns the address as
// a log's output takes it: a Unix socket, whose buffers are small.
func deafCollector(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "deaf") //nolint:usetesting // the name of a socket has a limit, and a test's folder a long one
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return "unix/" + listener.Addr().String()
}

// payUntil posts until the condition holds, and returns the longest time that a
// payment took.
func (s *sidecar) payUntil(done func(n int) bool) (longest time.Duration) {
	s.T.Helper()
	body := sample(s.T, "easypay")
	for n := 0; !done(n); n++ {
		require.Less(s.T, n, 60000)
		start := time.Now()
		require.Equal(s.T, http.StatusOK, s.post("/short/ledger/mpos", body).status)
		longest = max(longest, time.Since(start))
	}
	return longest
}

// A collector that does not read holds no payment, and what it does not take is
// counted and reported with its id. The process ends.
func TestAStalledCollector(t *testing.T) {
	s := start(t, audited("queue 20", auditTo("net "+deafCollector(t)))+app(short("/short", provider))+providers()+watching())
	lost := func() int { return s.count("caddy_countersign_audit_lost_total") }
	assert.Zero(t, lost())
	longest := s.payUntil(func(n int) bool { return n%100 == 0 && lost() > 10 })
	assert.Less(t, longest, time.Second)
	s.Await("the report", func() bool {
		return strings.Contains(s.Read("output.log"), `"msg":"audit entry lost: exchange","id":"`)
	})
	begin := time.Now()
	s.Stop()
	assert.Less(t, time.Since(begin), 12*time.Second)
}

func TestAFullDisk(t *testing.T) {
	s := start(t, audited("", auditTo("file /dev/full"))+app(short("/short", provider))+providers()+watching())
	res := s.post("/short/ledger/mpos", sample(t, "easypay"))
	require.Equal(t, http.StatusOK, res.status, res.body)
	s.Await("the entry is counted", func() bool { return s.count("caddy_countersign_audit_lost_total") == 1 })
	s.Await("the report", func() bool {
		text := s.Read("output.log")
		return strings.Contains(text, `"msg":"audit entry lost: exchange","id":"`) && strings.Contains(text, "no space left on device")
	})
}

// With required nothing is sent whose entry cannot be written.
func TestRequiredOnAFullDisk(t *testing.T) {
	s := start(t, audited("required", auditTo("file /dev/full"))+app(short("/short", provider))+providers()+watching())
	res := s.post("/short/ledger/mpos", sample(t, "easypay"))
	assert.Equal(t, http.StatusServiceUnavailable, res.status, res.body)
	assert.Contains(t, res.body, "audit_unavailable")
	assert.Equal(t, "not_sent", res.header.Get("Countersign-Outcome"))
	assert.Equal(t, http.StatusNotFound, s.get("provider", "/ledger/received").status, "the provider has seen nothing")
}

// With intent a process that is killed leaves a trace of each payment.
func TestIntentBeforeTheFirstByte(t *testing.T) {
	s := start(t, audited("intent", auditTo(auditFile))+app(short("/short", provider))+providers()+watching())
	const n = 5
	var answered atomic.Int32
	for range n {
		go func() {
			_, err := s.try("app", s.toPost("/short/ledger/mpos?fault=slow&delay=20s", sample(t, "easypay")))
			if err == nil {
				answered.Add(1)
			}
		}()
	}
	s.Await("the entries", func() bool { return len(s.entries()) == n })
	s.Kill()
	ids := make(map[any]bool)
	for _, e := range s.entries() {
		assert.Equal(t, "intent", e["outcome"])
		assert.Equal(t, "intent", e["msg"])
		ids[e["id"]] = true
	}
	assert.Len(t, ids, n)
	assert.Zero(t, answered.Load())
}

// The chain goes on over a reload, a kill and a restart.
func TestChainOverRestarts(t *testing.T) {
	config := audited("chain "+merchant, auditTo(auditFile)) + app(short("/short", provider)) + providers() + watching()
	s := start(t, config)
	pay := func() { s.payUntil(func(n int) bool { return n == 3 }) }
	pay()
	require.Equal(t, http.StatusOK, s.reload(strings.Replace(config, "grace_period 5s", "grace_period 4s", 1)).status)
	res := s.postAcrossReload("/short/ledger/mpos", sample(t, "easypay"))
	require.Equal(t, http.StatusOK, res.status)
	s.Kill()
	s.again()
	pay()
	s.Stop()
	last := s.entries()[len(s.entries())-1]
	assert.Equal(t, "checkpoint", last["msg"], "at stop")

	verify := func() (string, error) {
		text, err := process.Command(t, s.Dir, "countersign", "audit", "verify", s.Path("audit.log")).CombinedOutput()
		return string(text), err
	}
	text, err := verify()
	require.NoError(t, err, text)
	assert.Contains(t, text, "whole: ")
	assert.Contains(t, text, fmt.Sprint("are signed by key ", last["key"]))

	log := s.Read("audit.log")
	require.NoError(t, os.WriteFile(s.Path("audit.log"), []byte(strings.Replace(log, `"outcome":"ok"`, `"outcome":"no"`, 1)), 0o600))
	text, err = verify()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, text, "entry 1 was changed")
}

// Standard error is a pipe that nobody reads, and all logs go there, Caddy's
// access log among them. It may be full before the process starts.
func TestStandardErrorThatNobodyReads(t *testing.T) {
	for name, full := range map[string]bool{"empty at first": false, "full from the start": true} {
		t.Run(name, func(t *testing.T) {
			read, write, err := os.Pipe()
			require.NoError(t, err)
			defer read.Close()
			if full {
				require.NoError(t, write.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
				_, err := write.Write(make([]byte, 1<<20))
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
			config := strings.NewReplacer("output file $DIR/app.log", "output stderr", "output file $DIR/provider.log", "output stderr").
				Replace(global("") + app(short("/short", provider)) + providers() + watching())
			s := startWith(t, config, write)
			write.Close()
			longest := s.payUntil(func(n int) bool { return n == 300 })
			assert.Less(t, longest, 3*time.Second)
			begin := time.Now()
			require.NoError(t, s.Signal(syscall.SIGTERM))
			select {
			case <-s.Exited():
			case <-time.After(20 * time.Second):
				assert.Fail(t, "SIGTERM does not end the process")
			}
			t.Log("ended after", time.Since(begin), "longest payment", longest)
		})
	}
}

// The default log goes to a collector that does not read: Caddy itself waits for
// it, and SIGTERM ends the process all the same.
func TestCaddysLogStalls(t *testing.T) {
	s := start(t, global("log default {\noutput net "+deafCollector(t)+"\nformat json\nlevel DEBUG\n}\n")+app(short("/short", provider))+providers()+watching())
	body := sample(t, "easypay")
	s.Await("Caddy's log stalls", func() bool {
		req := s.toPost("/short/ledger/mpos", body)
		client := s.client("app")
		client.Timeout = 2 * time.Second
		res, err := client.Do(req)
		if err == nil {
			res.Body.Close()
		}
		return err != nil
	})
	s.Stop()
}

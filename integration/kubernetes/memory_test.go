package kubernetes_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The memory limit in sidecar.yaml is enough for what the limits in the Caddyfile
// allow: both providers at max_in_flight, with requests and answers nearly as
// large as they may be, all held at once.
func TestTheMemoryIsEnoughForTheLimits(t *testing.T) {
	const limit = 256 << 20 // as in sidecar.yaml
	const inFlight, size = 64, 250 << 10
	if testing.Short() {
		t.Skip("builds Caddy, which takes minutes the first time")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the most memory that a process had is read from /proc")
	}
	keys, err := filepath.Abs(filepath.Join(repository, "keys-dev/merchant"))
	require.NoError(t, err)
	large := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"code":0,"bizData":{"text":%q},"data":{"text":%q},"sign":"AA=="}`, strings.Repeat("x", size/2), strings.Repeat("y", size/2))
	}))
	gates := map[string]*gate{"easypay": newGate(t, large), "jeepay": newGate(t, large)}
	s := layOut(t, []string{
		"component/Caddyfile", "component-secret/keys.caddyfile",
		"example-secret/provider-easypay.caddyfile", "example-secret/provider-jeepay.caddyfile",
	}, map[string]string{
		"/var/run/secrets/countersign":    keys,
		"https://t-wapi.bhecard.com:6111": gates["easypay"].url,
		"https://pay.jeepay.vip":          gates["jeepay"].url,
	})
	// As in sidecar.yaml: nine tenths of the container's limit.
	p := startCaddy(t, s.dir, "GOGC=400", "GOMEMLIMIT="+strconv.Itoa(limit/10*9))
	p.await(t, "ready", func() bool { return s.probe("/readyz") == http.StatusOK })

	requests := map[string]string{
		"easypay": strings.Replace(body(t, "easypay", 1), "第一分账方", strings.Repeat("z", size/4*3), 1), // Base64 adds the rest
		"jeepay":  strings.Replace(body(t, "jeepay", 1), `"800001"`, `"`+strings.Repeat("z", size)+`"`, 1),
	}
	answers := make(chan exchange, 2*inFlight)
	for scheme, text := range requests {
		for range inFlight {
			go func() {
				for {
					a := s.pay(t.Context(), scheme, text)
					if a.status != http.StatusServiceUnavailable { // on a slow machine some wait too long to be signed
						answers <- a
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			}()
		}
	}
	p.await(t, "all are with the providers", func() bool {
		return gates["easypay"].arrived.Load() == inFlight && gates["jeepay"].arrived.Load() == inFlight
	})
	over := s.pay(t.Context(), "easypay", requests["easypay"])
	assert.Equal(t, http.StatusServiceUnavailable, over.status, "the limit holds")
	assert.Contains(t, over.body, "overloaded")
	for _, g := range gates {
		g.open()
	}
	for range 2 * inFlight {
		a := <-answers
		require.NoError(t, a.err)
		assert.Equal(t, "unverified", a.outcome, a.body)
		assert.Contains(t, a.body, "response_signature_invalid")
	}
	peak := peakMemory(t, p)
	t.Logf("at most %d MiB of %d MiB", peak>>20, limit>>20)
	assert.Less(t, peak, limit)
}

// peakMemory is the most memory that a process had, in bytes, without the pages of
// its binary, which the kernel can drop.
func peakMemory(t *testing.T, p *process) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	require.NoError(t, err)
	kilobytes := map[string]int{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name == "VmHWM" || name == "RssFile" {
			kilobytes[name], err = strconv.Atoi(strings.Fields(value)[0])
			require.NoError(t, err)
		}
	}
	require.Len(t, kilobytes, 2)
	return (kilobytes["VmHWM"] - kilobytes["RssFile"]) << 10
}

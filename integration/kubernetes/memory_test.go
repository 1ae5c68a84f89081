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
	for name, p := range map[string]profile{
		"component":       {limit: 256 << 20, inFlight: 64, schemes: []string{"easypay", "jeepay"}}, // as in component/sidecar.yaml
		"component-small": {limit: 96 << 20, inFlight: 16, schemes: []string{"easypay"}},            // as in component-small/small.yaml
	} {
		t.Run(name, func(t *testing.T) { fill(t, p) })
	}
}

// profile is what a sidecar may use.
type profile struct {
	limit, inFlight int
	schemes         []string
}

func fill(t *testing.T, profile profile) {
	const size = 250 << 10
	limit, inFlight := profile.limit, profile.inFlight
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
	upstreams := map[string]string{"easypay": "https://t-wapi.bhecard.com:6111", "jeepay": "https://pay.jeepay.vip"}
	files := []string{"component/Caddyfile", "component-secret/keys.caddyfile"}
	here := map[string]string{"/var/run/secrets/countersign": keys}
	gates := map[string]*gate{}
	for _, scheme := range profile.schemes {
		gates[scheme] = newGate(t, large)
		files = append(files, "example-secret/provider-"+scheme+".caddyfile")
		here[upstreams[scheme]] = gates[scheme].url
	}
	s := layOut(t, files, here)
	// As in the manifests: nine tenths of the container's limit.
	p := startCaddy(t, s.dir, "GOGC=400", "GOMEMLIMIT="+strconv.Itoa(limit/10*9), "COUNTERSIGN_IN_FLIGHT="+strconv.Itoa(inFlight))
	p.await(t, "ready", func() bool { return s.probe("/readyz") == http.StatusOK })

	requests := map[string]string{ // of the scheme, and nearly as large as they may be
		"easypay": strings.Replace(body(t, "easypay", 1), "第一分账方", strings.Repeat("z", size/4*3), 1), // Base64 adds the rest
		"jeepay":  strings.Replace(body(t, "jeepay", 1), `"800001"`, `"`+strings.Repeat("z", size)+`"`, 1),
	}
	all := len(gates) * inFlight
	answers := make(chan exchange, all)
	for scheme := range gates {
		text := requests[scheme]
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
		for _, g := range gates {
			if int(g.arrived.Load()) != inFlight {
				return false
			}
		}
		return true
	})
	over := s.pay(t.Context(), "easypay", requests["easypay"])
	assert.Equal(t, http.StatusServiceUnavailable, over.status, "the limit holds")
	assert.Contains(t, over.body, "overloaded")
	for _, g := range gates {
		g.open()
	}
	for range all {
		a := <-answers
		require.NoError(t, a.err)
		assert.Equal(t, "unverified", a.outcome, a.body)
		assert.Contains(t, a.body, "response_signature_invalid")
	}
	peak := peakMemory(t, p)
	t.Logf("at most %d MiB of %d MiB", peak>>20, limit>>20)
	assert.Less(t, peak, limit)
}

// peakMemory returns the most memory that a process had, in bytes, without the pages of
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

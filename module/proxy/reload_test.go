package proxy_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// keepAliveGenuine answers any number of requests on a connection.
func (d *double) keepAliveGenuine(c *testcaddy.Conn) {
	for r := c.Request(); r != nil; r = c.Request() {
		c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(d.keys, r, "").Body)
	}
}

// Configurations come and go under load, and no exchange fails: every request
// that Caddy has read is answered well, and every one that reached the provider
// is among them. At a reload Caddy itself closes connections on which it has
// read nothing yet.
func TestReloadUnderLoad(t *testing.T) {
	d := newDouble(t)
	d.set(d.keepAliveGenuine)
	address := testcaddy.FreeAddress(t)
	text := sidecarText(address, d.Address, "")
	c := testcaddy.Run(t, text)
	url := "http://" + address + "/easypay/ledger/mpos"
	body := sample(t)
	require.Equal(t, 200, testcaddy.Post(t, url, body).Status)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	var answered atomic.Int64
	answered.Add(1)
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				answer, err := testcaddy.TryPost(t.Context(), url, body)
				if err != nil {
					continue
				}
				answered.Add(1)
				assert.Equal(t, 200, answer.Status, "%s", answer.Body)
			}
		})
	}
	for i := range 8 {
		time.Sleep(60 * time.Millisecond)
		options := "timeout " + []string{"20s", "21s"}[i%2]
		if i%4 == 3 {
			options += "\nprofile another"
		}
		require.NoError(t, c.Reload(sidecarText(address, d.Address, options)))
	}
	cancel()
	group.Wait()
	assert.Greater(t, answered.Load(), int64(20))
	assert.Len(t, c.Logs.Message("keys loaded"), 1, "a source that did not change keeps its keys")
	audit := c.Logs.Entries("http.countersign.audit")
	assert.EqualValues(t, answered.Load(), len(audit))
	assert.EqualValues(t, answered.Load(), d.Delivered())
	for _, entry := range audit {
		assert.Equal(t, "ok", entry.String("outcome"))
	}
}

// An exchange in flight outlives the configuration that began it.
func TestReloadWithinAnExchange(t *testing.T) {
	d := newDouble(t)
	received, release := make(chan bool), make(chan bool)
	d.set(func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			received <- true
			<-release
			c.Answer(200, closing, easypayAnswer(d.keys, r, "").Body)
		}
	})
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, sidecarText(address, d.Address, ""))
	answers := make(chan *testcaddy.Answer)
	go func() {
		answer, err := testcaddy.TryPost(t.Context(), "http://"+address+"/easypay/ledger/mpos", sample(t))
		assert.NoError(t, err)
		answers <- answer
	}()
	<-received
	// Another folder, so that the ring of the old one is closed.
	other := strings.Replace(sidecarText(address, d.Address, ""), testcaddy.DevKeys("merchant"), keyFolder(t, "easypay/"+organisation), 1)
	require.NoError(t, c.Reload(other))
	close(release)
	answer := <-answers
	require.Equal(t, 200, answer.Status, "%s", answer.Body)
	assert.Contains(t, string(answer.Body), "分账成功", "it was decrypted with the keys that it held")
	assert.Equal(t, "ok", c.Logs.Audit(t, 1).String("outcome"))
}

// A configuration that is refused leaves the one that runs as it was.
func TestReloadThatFails(t *testing.T) {
	d := newDouble(t)
	d.set(d.keepAliveGenuine)
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, sidecarText(address, d.Address, ""))
	s := &sidecar{Caddy: c, t: t, url: "http://" + address + "/easypay/ledger/mpos"}
	s.ok(t, s.post(sample(t)))
	for name, text := range map[string]string{
		"an unknown source": strings.Replace(sidecarText(address, d.Address, ""), "keys easypay/", "keys nobody easypay/", 1),
		"a taken listener":  strings.Replace(sidecarText(address, d.Address, ""), "http://"+address, "http://192.0.2.1:80", 1) + "http://" + address + " {\nbind 192.0.2.1\n}",
	} {
		require.Error(t, c.Reload(text), name)
		s.ok(t, s.post(sample(t)))
	}
	// The keys are still looked after.
	assert.Len(t, c.Logs.Message("keys loaded"), 1)
}

// What Caddy stops, stops: no goroutine is left of any configuration.
func TestNothingIsLeft(t *testing.T) {
	d := newDouble(t)
	d.set(d.keepAliveGenuine)
	// settled is how many goroutines are left once their number stands still.
	settled := func() int {
		n, same := runtime.NumGoroutine(), 0
		for end := time.Now().Add(5 * time.Second); same < 15 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if now := runtime.NumGoroutine(); now == n {
				same++
			} else {
				n, same = now, 0
			}
		}
		return n
	}
	run := func(t *testing.T) {
		t.Helper()
		address := testcaddy.FreeAddress(t)
		c := testcaddy.Run(t, sidecarText(address, d.Address, ""))
		for i := range 5 {
			require.Eventually(t, func() bool { // Caddy closes what comes within a reload
				answer, err := testcaddy.TryPost(t.Context(), "http://"+address+"/easypay/ledger/mpos", sample(t))
				return err == nil && answer.Status == 200
			}, 5*time.Second, time.Millisecond)
			require.NoError(t, c.Reload(sidecarText(address, d.Address, "timeout "+[]string{"20s", "21s"}[i%2])))
		}
	}
	t.Run("first", run) // what the process keeps for good begins here
	before := settled()
	for range 5 {
		t.Run("again", run)
	}
	assert.LessOrEqual(t, settled(), before+2)
}

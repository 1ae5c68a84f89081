package notify_test

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConcurrentRepeats(t *testing.T) {
	eachOnce(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		app.answers(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(150 * time.Millisecond)
			says(s.acknowledgement())(w, r)
		})
		note := s.genuine(t)
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				g, err := c.try(t, note)
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, g.status)
				assert.Equal(t, s.acknowledgement(), g.body)
			})
		}
		all.Wait()
		assert.Len(t, app.calls(), 1, "the application is called once")
		count := make(map[string]int)
		for _, o := range c.outcomes(t) {
			count[o]++
		}
		assert.Equal(t, map[string]int{"ok": 1, "repeated": 11}, count)
	})
}

// While the first is not acknowledged those who wait take turns.
func TestConcurrentRepeatsOfAFailure(t *testing.T) {
	s := sides[0]
	var calls, running, most atomic.Int64
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			continue
		}
		time.Sleep(20 * time.Millisecond)
		if calls.Add(1) < 3 {
			status(http.StatusInternalServerError, "not yet")(w, r)
			return
		}
		says("ok")(w, r)
	})
	c := serve(t, s.directive(once(""))+app.proxy())
	note := s.genuine(t)
	var all sync.WaitGroup
	var failed, acknowledged atomic.Int64
	for range 8 {
		all.Go(func() {
			g, err := c.try(t, note)
			assert.NoError(t, err)
			switch g.status {
			case http.StatusOK:
				acknowledged.Add(1)
			case http.StatusInternalServerError:
				failed.Add(1)
			}
		})
	}
	all.Wait()
	assert.Equal(t, int64(2), failed.Load())
	assert.Equal(t, int64(6), acknowledged.Load())
	assert.Equal(t, int64(3), calls.Load())
	assert.Equal(t, int64(1), most.Load(), "never two at once")
}

func TestInProgress(t *testing.T) {
	s := sides[0]
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("ok")(w, r)
	})
	c := serve(t, s.directive(once(""))+app.proxy())
	note := s.genuine(t)
	var first sync.WaitGroup
	first.Go(func() {
		g, err := c.try(t, note)
		assert.NoError(t, err)
		assert.Equal(t, http.StatusOK, g.status)
	})
	require.Eventually(t, func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.arrived) == 1
	}, 5*time.Second, 5*time.Millisecond)
	start := time.Now()
	g := c.post(t, note)
	assert.Equal(t, http.StatusServiceUnavailable, g.status)
	assert.Equal(t, "notification_in_progress", g.code(t))
	assert.Greater(t, time.Since(start), 4*time.Second, "it waits a little")
	close(release)
	first.Wait()
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Len(t, app.calls(), 1)
	assert.Equal(t, []string{"notification_in_progress", "ok", "repeated"}, c.outcomes(t))
}

// A provider that hangs up does not keep the acknowledgement from being
// remembered.
func TestTheProviderHangsUp(t *testing.T) {
	s := sides[0]
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("ok")(w, r)
	})
	c := serve(t, s.directive(once(""))+app.proxy())
	note := s.genuine(t)
	conn, err := net.Dial("tcp", c.address)
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", c.address, len(note.body), note.body)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.arrived) == 1
	}, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, conn.Close())
	time.Sleep(50 * time.Millisecond) // for Caddy to see it
	close(release)
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Len(t, app.calls(), 1)
	assert.Equal(t, []string{"ok", "repeated"}, c.outcomes(t))
}

// A reload while the application is being asked loses neither the answer nor
// the memory.
func TestReload(t *testing.T) {
	s := sides[0]
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		says("ok")(w, r)
	})
	options := once("")
	c := serve(t, s.directive(options)+app.proxy())
	note := s.genuine(t)
	var first sync.WaitGroup
	first.Go(func() {
		g, err := c.try(t, note)
		assert.NoError(t, err)
		assert.Equal(t, http.StatusOK, g.status)
	})
	require.Eventually(t, func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.arrived) == 1
	}, 5*time.Second, 5*time.Millisecond)
	c.load(t, s.directive(options+"\n\t\tmax_request_body 2MiB")+app.proxy())
	var second sync.WaitGroup
	second.Go(func() {
		g, err := c.try(t, note)
		assert.NoError(t, err)
		assert.Equal(t, http.StatusOK, g.status)
		assert.Equal(t, "ok", g.body)
	})
	time.Sleep(100 * time.Millisecond)
	close(release)
	first.Wait()
	second.Wait()
	c.load(t, s.directive(options+"\n\t\tmax_request_body 3MiB")+app.proxy())
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	assert.Len(t, app.calls(), 1, "the application is called once")
}

package notify_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Beyond max_in_flight a notification is refused at once, and the provider sends it
// again; bodies that stall hold no place.
func TestMaxInFlight(t *testing.T) {
	s := sides[0]
	let := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, _ *http.Request) {
		<-let
		_, _ = io.WriteString(w, "ok")
	})
	c := serve(t, s.directive("max_in_flight 1")+app.proxy())
	for range 3 {
		stalled, err := net.Dial("tcp", c.address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = stalled.Close() })
		_, err = fmt.Fprintf(stalled, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{", c.address)
		require.NoError(t, err)
	}
	note := s.genuine(t)
	first := make(chan got)
	go func() {
		g, err := c.send(t, note)
		assert.NoError(t, err)
		first <- g
	}()
	var calls []arrived
	require.Eventually(t, func() bool {
		calls = append(calls, app.calls()...)
		return len(calls) == 1
	}, 5*time.Second, 5*time.Millisecond)
	second := c.post(t, note)
	assert.Equal(t, "overloaded", second.code(t))
	assert.NotEmpty(t, second.header.Get("Retry-After"))
	close(let)
	assert.Equal(t, 200, (<-first).status)
	assert.Equal(t, 200, c.post(t, note).status)
}

// Large bodies of many clients are bounded in memory, and small ones still pass.
func TestLargeBodiesAreBounded(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("max_request_body 80MiB")+app.proxy())
	stall := func() net.Conn {
		conn, err := net.Dial("tcp", c.address)
		require.NoError(t, err)
		// On a busy machine the server's patience may end first; then it is tried again.
		_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", c.address, 70<<20, strings.Repeat(" ", 63<<20))
		return conn
	}
	// While part of the first is still on its way, the first is refused and not the
	// second: then they are sent again, with more time between them.
	refused := false
	for pause := 50 * time.Millisecond; !refused && pause < 4*time.Second; pause *= 2 {
		stalled := stall()
		t.Cleanup(func() { _ = stalled.Close() })
		time.Sleep(pause)
		large := c.post(t, sent{contentType: "application/json", body: strings.Repeat(" ", 1<<20+100<<10)})
		if refused = large.code(t) == "overloaded"; !refused {
			require.NoError(t, stalled.Close())
		}
	}
	assert.True(t, refused)
	assert.Equal(t, 200, c.post(t, s.genuine(t)).status)
}

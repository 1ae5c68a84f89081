package inbound

import (
	"net/http"
	"time"
)

// BodyTime is the time limit for a whole body. Without it a client that sends a byte
// now and then could occupy memory, and count against max_in_flight, without end.
const BodyTime = 10 * time.Second

// LimitBodyTime limits the time for the body of a request. The function that it
// returns ends the limit. Where a connection takes no deadline, the server's own
// timeouts remain.
func LimitBodyTime(w http.ResponseWriter, r *http.Request) (whole func()) {
	if r.Body == nil || r.Body == http.NoBody {
		return func() {}
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(BodyTime))
	return func() { _ = c.SetReadDeadline(time.Time{}) }
}

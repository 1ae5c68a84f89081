package proxy

import (
	"os"
	"time"
)

// quiet is how long a bell is not rung again: about what a signature takes, or some
// of those that take less, and a hundred times what the ringing takes.
const quiet = 500 * time.Microsecond

// bell has something done by way of the network poller: after what came from the
// network before. Go's scheduler looks there when nothing else is ready to run,
// and otherwise every 10 ms. With one signature after another something always
// is, and without a bell answers and new requests would wait for those 10 ms. It
// must not be rung twice at the same time.
type bell struct {
	pipe *os.File
	rung time.Time
}

// newBell makes a bell that has do done each time it is rung. It is nil where
// there is no pipe to be had.
func newBell(do func()) *bell {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	go func() {
		defer r.Close() //nolint:errcheck // from then on ringing fails
		for one := make([]byte, 1); ; do() {
			if _, err := r.Read(one); err != nil {
				return
			}
		}
	}()
	return &bell{pipe: w}
}

// ring rings the bell. It returns false if that does nothing: if there is none,
// or it was rung a moment ago.
func (b *bell) ring() bool {
	if b == nil || time.Since(b.rung) < quiet {
		return false
	}
	b.rung = time.Now()
	_, err := b.pipe.Write([]byte{0})
	return err == nil
}

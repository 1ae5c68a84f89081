package telemetry

import (
	"bytes"
	"io"
	"log"
)

// GuardStandardLog keeps the bytes of a provider's answer out of the standard library's
// log, which Caddy writes into its own. If an answer is longer than its Content-Length,
// net/http's client reads the rest on the idle connection and logs it ("Unsolicited
// response received on idle HTTP channel starting with ..."); that cannot be turned
// off.
//
// Caddy sets the output of that log anew with some configurations, so this is
// called before every use of the client. It costs next to nothing.
func GuardStandardLog() {
	if current := log.Writer(); !isGuard(current) {
		log.SetOutput(guard{current})
	}
}

func isGuard(w io.Writer) bool {
	_, ok := w.(guard)
	return ok
}

// guard cuts the quoted bytes off a line.
type guard struct{ io.Writer }

var (
	unsolicited = []byte("Unsolicited response received on idle HTTP channel")
	withoutRest = []byte("; what came is left out\n")
)

// Write writes a line of the standard log.
func (g guard) Write(line []byte) (int, error) {
	at := bytes.Index(line, unsolicited)
	if at < 0 {
		return g.Writer.Write(line)
	}
	end := at + len(unsolicited)
	if _, err := g.Writer.Write(append(line[:end:end], withoutRest...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

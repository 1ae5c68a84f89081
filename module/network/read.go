package network

import (
	"io"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// ErrTooLarge is the error of ReadAll for more bytes than the limit.
var ErrTooLarge = i18n.Errorf("larger than the limit")

// readAhead is the largest buffer that is allocated before bytes arrive, so that a
// large Content-Length alone costs little memory.
const readAhead = 64 << 10

// ReadAll reads at most limit bytes. length is the announced length in bytes, or
// negative if it is not known.
func ReadAll(r io.Reader, length, limit int64) ([]byte, error) {
	if length < 0 || length > limit {
		length = min(limit, 4<<10)
	}
	length = min(length, readAhead)
	buf := make([]byte, 0, length+1) // one more, to see the end without growing
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return nil, ErrTooLarge
		}
		if err == io.EOF { //nolint:errorlint // Read returns io.EOF itself
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

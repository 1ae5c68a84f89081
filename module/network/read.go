package network

import (
	"errors"
	"io"
)

// ErrTooLarge is what ReadAll returns where there is more than the limit.
var ErrTooLarge = errors.New("larger than the limit")

// readAhead is how many bytes of a body are believed before they are there, so that
// an announcement alone costs little memory.
const readAhead = 64 << 10

// ReadAll reads at most limit bytes into a buffer that fits, or that grows with what
// arrives: length is what was announced, or negative.
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

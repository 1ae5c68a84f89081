package network

import (
	"net"

	"golang.org/x/sys/unix"
)

// IsEnded reports whether the other side of a connection has closed it, or its sending
// side only, or has reset it, even if nobody has read so far. If the state is not known,
// IsEnded returns false.
func IsEnded(conn net.Conn) bool {
	ended := false
	control(conn, func(fd int) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a file descriptor
		n, err := unix.Poll(poll, 0)
		ended = err == nil && n > 0
	})
	return ended
}

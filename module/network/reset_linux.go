package network

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpClose is the state of a socket whose other side has reset it.
const tcpClose = 7

// IsReset reports whether the other side of a TCP connection has reset it and so reads
// no more. A client that has only closed its sending side may still read: for it
// IsReset returns false, as it does if the state is not known.
func IsReset(conn net.Conn) bool {
	reset := false
	control(conn, func(fd int) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		reset = err == nil && info.State == tcpClose
	})
	return reset
}

// control calls f with the file descriptor of a connection, if it has one.
func control(conn net.Conn, f func(fd int)) {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = outer.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) //nolint:gosec // a file descriptor
	}
}

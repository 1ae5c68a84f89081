package network

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpClose is the state of a socket whose other side has reset it.
const tcpClose = 7

// IsReset reports whether the other side of a TCP connection is known to read no
// more. One that has only closed its side for writing may still read, and so may one
// of which that is not known.
func IsReset(conn net.Conn) bool {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = outer.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	reset := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) //nolint:gosec // a file descriptor
		reset = err == nil && info.State == tcpClose
	})
	return err == nil && reset
}

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

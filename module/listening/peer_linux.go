package listening

import (
	"net"
	"os"
	"syscall"
)

// isOwn reports whether this process listens at the other end of a Unix socket, as it
// does at a reload.
func isOwn(connection net.Conn) bool {
	socket, ok := connection.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var peer *syscall.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	return controlErr == nil && err == nil && int(peer.Pid) == os.Getpid()
}

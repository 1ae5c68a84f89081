package listening

import (
	"context"
	"net"
	"strings"
	"time"
)

// connectTimeout bounds a connection on this machine. A backlog that is full may hold it.
const connectTimeout = 2 * time.Second

// isUnix reports whether a network of Caddy's is that of Unix sockets with streams:
// unix, unix+h2c.
func isUnix(network string) bool {
	network, _, _ = strings.Cut(network, "+")
	return network == "unix"
}

// onSocket returns the path of a Unix socket if another process listens on it, or "".
// It connects, because a process in another container, with the folder in common, is
// in no table of this one. A socket that a process has left behind refuses.
func onSocket(host string) string {
	path, _, _ := strings.Cut(host, "|") // the mode of the file stands behind it
	dialer := net.Dialer{Timeout: connectTimeout}
	connection, err := dialer.DialContext(context.Background(), "unix", path)
	if err != nil {
		return ""
	}
	defer func() { _ = connection.Close() }()
	if isOwn(connection) {
		return ""
	}
	return path
}

//go:build !linux

package network

import "net"

// IsEnded returns false: this system does not show whether the other side of a
// connection has closed it before the end is read.
func IsEnded(net.Conn) bool { return false }

//go:build !linux

package network

import "net"

// IsReset returns false: this system does not show whether the other side of a
// connection has reset it.
func IsReset(net.Conn) bool { return false }

package network

import (
	"net/netip"
	"strings"
)

// Local reports whether an address is on this machine.
func Local(network, host string) bool {
	if strings.HasPrefix(network, "unix") || strings.HasPrefix(network, "fd") {
		return true
	}
	if host == "" || strings.EqualFold(host, "localhost") { // a dial without a host stays on the machine
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

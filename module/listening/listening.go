// Package listening finds out whether another process listens on an address. Caddy
// opens its sockets with SO_REUSEPORT, so that the system says nothing of it: it
// spreads the connections over all who listen.
package listening

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// resolveTimeout bounds the look-up of a host name to listen on.
const resolveTimeout = 2 * time.Second

// Elsewhere returns the address on which another process listens, of those that an
// address stands for, or "". A socket that this process was handed, and one in the
// file system, has nobody else.
func Elsewhere(address caddy.NetworkAddress) (string, error) {
	if !strings.HasPrefix(address.Network, "tcp") || address.StartPort == 0 {
		return "", nil
	}
	others, err := others()
	if err != nil {
		return portably(address), nil //nolint:nilerr // another way of asking
	}
	hosts := addressesOf(address.Host)
	for _, other := range others {
		port := uint(other.Port())
		if port < address.StartPort || port > address.EndPort {
			continue
		}
		if slices.ContainsFunc(hosts, func(host netip.Addr) bool { return overlap(host, other.Addr()) }) {
			return net.JoinHostPort(address.Host, strconv.FormatUint(uint64(port), 10)), nil
		}
	}
	return "", nil
}

// errUnknown says that the system does not tell who listens.
var errUnknown = errors.New("the system does not tell who listens")

// addressesOf are the addresses of a host to listen on; "" stands for all.
func addressesOf(host string) []netip.Addr {
	if host == "" {
		return []netip.Addr{netip.IPv6Unspecified()}
	}
	if address, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return []netip.Addr{address.Unmap()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // Caddy says that it cannot listen there
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found
}

// overlap reports whether two sockets on the same port take connections to the same
// address.
func overlap(a, b netip.Addr) bool {
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	switch {
	case a == b:
		return true
	case a.IsUnspecified():
		return a.Is6() || b.Is4() // :: takes IPv4 as well, unless it was told not to
	case b.IsUnspecified():
		return b.Is6() || a.Is4()
	}
	return false
}

// portably looks without the system's help: a socket that is opened without
// SO_REUSEPORT finds the port taken. It cannot tell this process from another one,
// so that it looks only where this one does not listen yet.
func portably(address caddy.NetworkAddress) string {
	if _, err := caddy.ActiveContext().AppIfConfigured("http"); err == nil {
		return "" // a reload
	}
	for offset := range address.PortRangeSize() {
		one := address.JoinHostPort(offset)
		if caddy.ListenerUsage(address.Network, one) > 0 {
			continue
		}
		var config net.ListenConfig
		listener, err := config.Listen(context.Background(), "tcp", one)
		if err == nil {
			_ = listener.Close()
		} else if errors.Is(err, syscall.EADDRINUSE) {
			return one
		}
	}
	return ""
}

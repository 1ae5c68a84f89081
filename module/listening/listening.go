// Package listening finds out whether another process listens on an address. Caddy
// opens its sockets with SO_REUSEPORT, so that the system reports no conflict and
// spreads the connections over all processes that listen. It replaces a Unix socket on
// which another process listens.
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

	"github.com/countersign/caddy-countersign/module/i18n"
)

// resolveTimeout bounds the look-up of a host name to listen on.
const resolveTimeout = 2 * time.Second

// Elsewhere returns the address on which another process listens, of those that an
// address stands for, or "". It returns "" for inherited sockets.
func Elsewhere(address caddy.NetworkAddress) (string, error) {
	if isUnix(address.Network) {
		return onSocket(address.Host), nil
	}
	if !strings.HasPrefix(address.Network, "tcp") || address.StartPort == 0 {
		return "", nil
	}
	others, err := others()
	if err != nil {
		return portably(address), nil //nolint:nilerr // another way of asking
	}
	hosts := addressesOf(address)
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

// errUnknown says that the system does not show which process listens.
var errUnknown = i18n.Errorf("the system does not tell who listens")

// addressesOf returns the addresses to listen on. For Go "" and 0.0.0.0 stand for all
// addresses of both families, unless the network is tcp4.
func addressesOf(address caddy.NetworkAddress) []netip.Addr {
	host := address.Host
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && (!ip.IsUnspecified() || address.Network == "tcp4") {
		return []netip.Addr{ip.Unmap()}
	} else if err == nil || host == "" {
		return []netip.Addr{netip.IPv6Unspecified()}
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
	case a == netip.IPv6Unspecified() || b == netip.IPv6Unspecified():
		return true // :: also accepts IPv4, by default
	case a.IsUnspecified():
		return b.Is4()
	case b.IsUnspecified():
		return a.Is4()
	}
	return false
}

// portably looks without the system's help: a socket that is opened without
// SO_REUSEPORT finds the port taken. It cannot distinguish this process from another
// one, so it is used only for addresses on which this one does not listen yet.
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

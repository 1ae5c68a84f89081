package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// defaultDialDelay is how long one address of a name is tried before the next one is
// tried as well (RFC 8305): the default of http { dial_fallback_delay }.
const defaultDialDelay = 300 * time.Millisecond

// dialer tries every address of a provider's name within dial_timeout. Go tries each
// address for at least two seconds before the next, so that two dead addresses use up
// the default of 3 s. With TLS an address counts as tried when the handshake is done:
// some accept connections and never say a word.
type dialer struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error) // one address
	base      *http.Transport                                                      // for its TLS configuration
	resolver  *net.Resolver
	timeout   time.Duration // of the dials to all addresses together
	handshake time.Duration // the time limit of a TLS handshake
	delay     time.Duration
}

// dialEveryAddress makes the transport dial with a dialer.
func (t *Transport) dialEveryAddress() error {
	base := t.HTTP.Transport
	if t.HTTP.ProxyProtocol != "" { // the client is part of the address then
		return nil
	}
	d := &dialer{
		dial: base.DialContext, base: base, resolver: net.DefaultResolver,
		timeout: time.Duration(t.HTTP.DialTimeout), handshake: base.TLSHandshakeTimeout, delay: time.Duration(t.HTTP.FallbackDelay),
	}
	if d.delay == 0 {
		d.delay = defaultDialDelay
	}
	if d.handshake == 0 {
		d.handshake = d.timeout
	}
	if t.HTTP.Resolver != nil {
		var err error
		if d.resolver, err = resolverAt(t.HTTP.Resolver.Addresses, d.timeout); err != nil {
			return err
		}
	}
	base.DialContext = d.Dial
	if base.TLSClientConfig != nil && base.DialTLSContext == nil { // Caddy's own is for a name with a placeholder
		base.DialTLSContext = d.DialTLS
	}
	return nil
}

// resolverAt returns a resolver that asks one of the servers that http { resolvers } names, as
// Caddy's does.
func resolverAt(servers []string, timeout time.Duration) (*net.Resolver, error) {
	addresses := make([]caddy.NetworkAddress, len(servers))
	for i, server := range servers {
		var err error
		if addresses[i], err = caddy.ParseNetworkAddressWithDefaults(server, "udp", 53); err != nil {
			return nil, err
		}
	}
	ask := net.Dialer{Timeout: timeout}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		address := addresses[rand.IntN(len(addresses))] //nolint:gosec // which one is no secret
		return ask.DialContext(ctx, address.Network, address.JoinHostPort(0))
	}}, nil
}

// Dial connects to one of the addresses that a name has. Each is tried a moment after the
// one before it, which goes on; the first connection wins.
func (d *dialer) Dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	return d.first(ctx, protocol, address, nil)
}

// DialTLS connects as Dial does, and does the TLS handshake.
func (d *dialer) DialTLS(ctx context.Context, protocol, address string) (net.Conn, error) {
	config := d.base.TLSClientConfig.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil && config.ServerName == "" {
		config.ServerName = host
	}
	return d.first(ctx, protocol, address, func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, d.handshake)
		defer cancel()
		secured := tls.Client(&checkedConn{Conn: conn}, config)
		err := secured.HandshakeContext(ctx)
		if err == nil {
			return secured, nil
		}
		_ = conn.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, handshakeTimeout{}
		}
		return nil, err
	})
}

// handshakeTimeout is what net/http returns for a handshake that takes too long.
type handshakeTimeout struct{}

func (handshakeTimeout) Error() string { return "TLS handshake timeout" }

// first connects to one of the addresses that a name has. secure, unless it is nil, does
// the TLS handshake.
func (d *dialer) first(ctx context.Context, protocol, address string, secure func(context.Context, net.Conn) (net.Conn, error)) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	info, ok := reverseproxy.GetDialInfo(ctx)
	if _, literal := netip.ParseAddr(host); err != nil || host == "" || literal == nil || ok && info.Network != "tcp" {
		conn, err := d.dial(ctx, protocol, address)
		if err != nil || secure == nil {
			return conn, err
		}
		return secure(ctx, conn)
	}
	limit := d.timeout
	if secure != nil {
		limit += d.handshake
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dialing, stop := context.WithTimeout(ctx, d.timeout)
	defer stop()
	addresses, err := d.resolver.LookupNetIP(dialing, "ip", host)
	if err == nil && len(addresses) == 0 {
		err = &net.DNSError{Err: "the name has no address", Name: host, IsNotFound: true}
	}
	if err != nil {
		return nil, reverseproxy.NewDialError(&net.OpError{Op: "dial", Net: protocol, Err: err})
	}
	addresses = alternate(addresses)
	share := d.timeout / time.Duration(len(addresses))
	if d.delay > 0 {
		share = min(share, d.delay)
	}
	handshakeShare := d.handshake / time.Duration(len(addresses))
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	connected := make(chan struct{}, len(addresses)) // and the handshake begins
	running, firstErr := 0, error(nil)
	for next := time.NewTimer(0); ; {
		select {
		case <-next.C:
			if len(addresses) == 0 {
				continue
			}
			one := net.JoinHostPort(addresses[0].String(), port)
			addresses = addresses[1:]
			running++
			go func() {
				conn, err := d.dial(withoutUpstream{dialing}, protocol, one)
				if err == nil && secure != nil {
					connected <- struct{}{}
					conn, err = secure(ctx, conn)
				}
				select {
				case results <- result{conn, err}:
				case <-ctx.Done():
					if err == nil {
						_ = conn.Close() // another one was faster
					}
				}
			}()
			next.Reset(share)
		case <-connected:
			next.Reset(handshakeShare)
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			running--
			if firstErr == nil {
				firstErr = r.err
			}
			if running == 0 && len(addresses) == 0 {
				return nil, firstErr
			}
			next.Reset(0)
		case <-ctx.Done():
			if firstErr == nil {
				firstErr = reverseproxy.NewDialError(&net.OpError{Op: "dial", Net: protocol, Err: context.Cause(ctx)})
			}
			return nil, firstErr
		}
	}
}

// alternate orders addresses so that those of both families alternate, the preferred
// family first: a network may support only one of them.
func alternate(addresses []netip.Addr) []netip.Addr {
	var preferred, others, all []netip.Addr
	for _, a := range addresses {
		a = a.Unmap()
		if a.Is4() == addresses[0].Unmap().Is4() {
			preferred = append(preferred, a)
		} else {
			others = append(others, a)
		}
	}
	for i := range max(len(preferred), len(others)) {
		all = append(all, preferred[min(i, len(preferred)):min(i+1, len(preferred))]...)
		all = append(all, others[min(i, len(others)):min(i+1, len(others))]...)
	}
	return all
}

// withoutUpstream is a context in which Caddy's transport does not find the upstream,
// so that it dials the given address.
type withoutUpstream struct{ context.Context }

func (c withoutUpstream) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(reverseproxy.DialInfo); ok {
		return nil
	}
	return value
}

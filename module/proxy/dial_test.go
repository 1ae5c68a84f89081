package proxy_test

import (
	"crypto/tls"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// nameServer answers every question for an IPv4 address with these, in this order.
func nameServer(t *testing.T, addresses ...[4]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			for _, a := range addresses {
				if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
					m.Answers = append(m.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: &dnsmessage.AResource{A: a},
					})
				}
			}
			if text, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(text, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// dead returns an address whose dials get no answer.
func dead(t *testing.T, last byte, port int) [4]byte {
	t.Helper()
	address := [4]byte{127, 0, 0, last}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: address, Port: port}))
	require.NoError(t, syscall.Listen(fd, 0))
	fill(t, (&net.TCPAddr{IP: net.IP(address[:]), Port: port}).String())
	return address
}

// mute returns an address that accepts connections and does with them what handle does.
func mute(t *testing.T, last byte, port int, handle func(net.Conn)) [4]byte {
	t.Helper()
	address := [4]byte{127, 0, 0, last}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IP(address[:]), Port: port})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			handle(conn)
		}
	}()
	return address
}

// Of the addresses of a name those that are dead do not use up the time of those that
// live, wherever they stand.
func TestEveryAddressOfAName(t *testing.T) {
	ca := testcaddy.NewCA(t)
	held := providerKeys(t)
	p := testcaddy.NewTLSProvider(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "provider.test").TLS}}, func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			c.Answer(200, closing, easypayAnswer(held, r, "").Body)
		}
	})
	_, port, err := net.SplitHostPort(p.Address)
	require.NoError(t, err)
	number, err := net.LookupPort("tcp", port)
	require.NoError(t, err)
	alive, refusing := [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 9}
	one, two, three := dead(t, 2, number), dead(t, 3, number), dead(t, 4, number)
	silent := func(net.Conn) {}
	silent1, silent2, silent3 := mute(t, 5, number, silent), mute(t, 6, number, silent), mute(t, 7, number, silent)
	hangsUp := mute(t, 8, number, func(c net.Conn) { _ = c.Close() })
	other := mute(t, 10, number, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n")) })
	for name, c := range map[string]struct {
		addresses [][4]byte
		options   string
		fails     bool
	}{
		"alive alone":                 {[][4]byte{alive}, "", false},
		"three dead before it":        {[][4]byte{one, two, three, alive}, "", false},
		"dead and refusing before it": {[][4]byte{one, refusing, two, alive}, "", false},
		"in turn":                     {[][4]byte{one, two, three, alive}, "dial_fallback_delay -1s", false},
		"alive before the dead":       {[][4]byte{alive, one, two, three}, "", false},
		"three that say nothing":      {[][4]byte{silent1, silent2, silent3, alive}, "", false},
		"nothing, in turn":            {[][4]byte{silent1, silent2, silent3, alive}, "dial_fallback_delay -1s", false},
		"one that closes":             {[][4]byte{hangsUp, alive}, "", false},
		"one that speaks no TLS":      {[][4]byte{other, alive}, "", false},
		"dead, silent, closing":       {[][4]byte{one, silent1, hangsUp, alive}, "", false},
		"all say nothing":             {[][4]byte{silent1, silent2}, "", true},
		"all dead":                    {[][4]byte{one, two, three}, "", true},
		"all refusing":                {[][4]byte{refusing, refusing}, "", true},
		"none":                        {nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSidecar(t, "https://provider.test:"+port,
				"dial_timeout 3s\nhttp {\n tls_trust_pool file "+ca.File+"\n resolvers "+nameServer(t, c.addresses...)+"\n"+c.options+"\n}")
			start := time.Now()
			if c.fails {
				s.problem(t, s.post(sample(t)), notSent("upstream_unreachable", 502, "no connection to the provider: "))
				assert.Less(t, time.Since(start), 20*time.Second)
				return
			}
			s.ok(t, s.post(sample(t)))
			assert.True(t, strings.HasPrefix(p.Last(t).Host, "provider.test"), "the provider sees its own name")
		})
	}
}

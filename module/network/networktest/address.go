// Package networktest gives tests addresses to listen on.
package networktest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports below 32768 are not given to clients by Linux, so that no connection of
// another test takes one between Address and the server that is to listen there.
const (
	lowest  = 10000
	highest = 32767
)

// Address returns an address on the loopback on which nobody listens, as "127.0.0.1:1234".
// Until t ends no other test gets it, in this process or another.
func Address(t testing.TB) string {
	t.Helper()
	var listen net.ListenConfig
	for range 1000 {
		// The odd port is the lock of the even one: the system gives it back even if
		// the process is killed.
		port := lowest + 2*rand.IntN((highest-lowest)/2) //nolint:gosec // no secret
		lock, err := listen.Listen(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", port+1))
		if err != nil {
			continue
		}
		address := fmt.Sprint("127.0.0.1:", port)
		free, err := listen.Listen(t.Context(), "tcp", address)
		if err != nil {
			_ = lock.Close()
			continue
		}
		_ = free.Close()
		t.Cleanup(func() { _ = lock.Close() })
		return address
	}
	t.Fatal("no port between 10000 and 32767 is free")
	return ""
}

// Port returns the port of an Address.
func Port(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(Address(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

package proxy

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
)

// checkedConn is a connection to a provider that writes no request to a server that has
// closed it. Go's client learns of the end from a goroutine that reads: until that has
// run, a request could be written, and nobody would know what became of it. Where
// nothing was written, the client takes another connection.
type checkedConn struct {
	net.Conn
	check atomic.Bool // before the next write
}

// NetConn returns the connection itself.
func (c *checkedConn) NetConn() net.Conn { return c.Conn }

// Write writes, unless the connection was to be checked and has ended.
func (c *checkedConn) Write(p []byte) (int, error) {
	if c.check.Load() && c.check.Swap(false) && network.IsEnded(c.Conn) {
		return 0, errEnded
	}
	return c.Conn.Write(p)
}

var errEnded = i18n.Errorf("the other side has closed the idle connection")

// checkBeforeUse has a connection checked that has been idle.
func checkBeforeUse(conn net.Conn) {
	for {
		if c, ok := conn.(*checkedConn); ok {
			c.check.Store(true)
			return
		}
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		conn = outer.NetConn()
	}
}

// checked makes a dial function return connections that can be checked.
func checked(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &checkedConn{Conn: conn}, nil
	}
}

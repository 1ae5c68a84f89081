package proxy

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"

	"github.com/countersign/caddy-countersign/module/network"
)

// gunzip undoes gzip while it is read. compress/gzip does not tell bytes behind
// the end, which make an answer invalid, from an answer that broke off.
type gunzip struct {
	from   *bufio.Reader
	member *gzip.Reader // the one that is read; there may be several (RFC 1952, section 2.2)
}

func newGunzip(from io.Reader) *gunzip { return &gunzip{from: bufio.NewReader(from)} }

// gzipHeader is the length of the shortest header of a member.
const gzipHeader = 10

// Read reads a part of the text.
func (g *gunzip) Read(p []byte) (int, error) {
	if g.member == nil {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	n, err := g.member.Read(p)
	if err != io.EOF { //nolint:errorlint // Read returns io.EOF itself
		return n, err
	}
	if _, err := g.from.Peek(1); err != nil {
		return n, err // io.EOF where HTTP's body ends
	}
	return n, g.next()
}

// next begins a member.
func (g *gunzip) next() error {
	if _, err := g.from.Peek(gzipHeader); err == io.EOF { //nolint:errorlint // Peek returns io.EOF itself
		return gzip.ErrHeader
	} else if err != nil {
		return err
	}
	if g.member == nil {
		g.member = new(gzip.Reader)
	}
	if err := g.member.Reset(g.from); err != nil {
		return err
	}
	g.member.Multistream(false)
	return nil
}

// isBrokenGzip reports whether an error says that a body is no gzip, or not as a
// whole. A body that ends too early is not among them.
func isBrokenGzip(err error) bool {
	return errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || network.Is[flate.CorruptInputError](err)
}

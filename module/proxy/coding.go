package proxy

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// errUnknownCoding is what undo returns for a content coding that is not undone.
var errUnknownCoding = errors.New("a content coding that is not undone")

// codings are the content codings that are undone (RFC 9110, section 8.4.1; RFC
// 7932; RFC 8878).
var codings = map[string]func(io.Reader) (io.Reader, error){
	"gzip":    gunzip,
	"x-gzip":  gunzip,
	"deflate": inflate,
	"br":      func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"zstd":    unzstd,
}

// noCodings are content codings that are not undone. Every other word, such as UTF-8 or
// none, is no coding and is ignored: the signature decides.
var noCodings = []string{"compress", "x-compress"}

// maxCodings is how many codings one answer may have.
const maxCodings = 3

// undo returns the text of a body under its Content-Encoding headers. The codings
// were applied in their order and are undone from the last to the first. It returns
// the reader itself where there is none. An error of the text that comes from the
// body is the body's own error; one that comes from a coding is a *codingError.
func undo(body io.Reader, headers []string) (io.Reader, error) {
	var applied []string
	for coding := range strings.SplitSeq(strings.ToLower(strings.Join(headers, ",")), ",") {
		coding, _, _ = strings.Cut(coding, ";") // a weight belongs to Accept-Encoding
		coding = strings.TrimSpace(coding)
		if slices.Contains(noCodings, coding) {
			return nil, errUnknownCoding
		}
		if codings[coding] != nil {
			applied = append(applied, coding)
		}
	}
	if len(applied) == 0 {
		return body, nil
	}
	if len(applied) > maxCodings {
		return nil, errUnknownCoding
	}
	source := &source{from: body}
	var text io.Reader = source
	for _, coding := range slices.Backward(applied) {
		text = &decoded{source: source, under: text, coding: coding}
	}
	return text, nil
}

// source is a body that stores the error with which it ended, except io.EOF.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // Read returns io.EOF itself
		s.err = err
	}
	return n, err
}

// codingError says that a body is not in the coding of its Content-Encoding. For a body
// that ends too early the error is io.ErrUnexpectedEOF instead.
type codingError struct {
	coding string
	err    error
}

func (e *codingError) Error() string { return fmt.Sprintf("broken %s: %v", e.coding, e.err) }
func (e *codingError) Unwrap() error { return e.err }

// decoded is the text under one coding. It begins to read with the first Read.
type decoded struct {
	source *source
	under  io.Reader
	coding string
	text   io.Reader
}

func (d *decoded) Read(p []byte) (int, error) {
	if d.text == nil {
		var err error
		if d.text, err = codings[d.coding](d.under); err != nil {
			return 0, d.explain(err)
		}
	}
	n, err := d.text.Read(p)
	return n, d.explain(err)
}

// explain returns the error of the body if it has one, and otherwise wraps an error of
// the coding.
func (d *decoded) explain(err error) error {
	var inner *codingError
	switch {
	case err == nil || err == io.EOF: //nolint:errorlint // Read returns io.EOF itself
		return err
	case d.source.err != nil:
		return d.source.err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &inner):
		return err
	default:
		return &codingError{coding: d.coding, err: err}
	}
}

// maxWindow is the largest window, in bytes, that a zstd frame may ask for. RFC
// 9659 has no larger one for content codings.
const maxWindow = 8 << 20

// emptyFrame is a frame of zstd that is skipped (RFC 8878, section 3.1.2). Behind the
// stream it makes one to three further bytes a broken frame; without it the decoder
// takes them for the beginning of one, and so for an answer that is truncated.
const emptyFrame = "\x50\x2a\x4d\x18\x00\x00\x00\x00"

func unzstd(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(io.MultiReader(r, strings.NewReader(emptyFrame)), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
}

// inflate undoes deflate, which is zlib's format; some servers send the stream
// without zlib's frame.
func inflate(r io.Reader) (io.Reader, error) {
	from := bufio.NewReader(r)
	head, err := from.Peek(2)
	if err != nil {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 { // RFC 1950, section 2.2
		return zlib.NewReader(from)
	}
	return flate.NewReader(from), nil
}

// gunzip undoes gzip, member by member: compress/gzip alone returns the same error for
// bytes after the end, which make an answer invalid, and for an answer that is
// truncated.
func gunzip(r io.Reader) (io.Reader, error) {
	g := &members{from: bufio.NewReader(r)}
	return g, g.next()
}

// members reads the members of a gzip file (RFC 1952, section 2.2).
type members struct {
	from   *bufio.Reader
	member *gzip.Reader // the one that is read
}

// gzipHeader is the length of the shortest header of a member.
const gzipHeader = 10

// Read reads a part of the text.
func (g *members) Read(p []byte) (int, error) {
	n, err := g.member.Read(p)
	if err != io.EOF { //nolint:errorlint // Read returns io.EOF itself
		return n, err
	}
	if _, err := g.from.Peek(1); err != nil {
		return n, err // io.EOF where HTTP's body ends
	}
	return n, g.next()
}

// next reads the header of the next member.
func (g *members) next() error {
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

package auditchain

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"os"
	"slices"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// maxLine is the longest line of a log that is read, in bytes.
const maxLine = 16 << 20

// eachLine calls do with the number, from 1, and content of each line of a file
// that is not empty, until do returns false. The content is only valid during
// the call. A file compressed with gzip is decompressed.
func eachLine(name string, do func(number int, line []byte) bool) error {
	file, err := os.Open(name) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	var in io.Reader = bufio.NewReader(file)
	if start, _ := in.(*bufio.Reader).Peek(2); bytes.Equal(start, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(in); err != nil {
			return i18n.Errorf("decompressing %s: %w", name, err)
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 && !do(number, line) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return i18n.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// inOrder sorts files by the number of their first chained entry. Files without
// one come last.
func inOrder(names []string) ([]string, error) {
	first := make(map[string]uint64)
	for _, name := range names {
		err := eachLine(name, func(_ int, line []byte) bool {
			all, err := members(line)
			if err != nil {
				return true
			}
			seq, chained := number(all)
			first[name] = seq
			return !chained
		})
		if err != nil {
			return nil, err
		}
		if first[name] == 0 {
			first[name] = ^uint64(0)
		}
	}
	ordered := slices.Clone(names)
	slices.SortStableFunc(ordered, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	return slices.Compact(ordered), nil
}

// Package auditchain links audit entries to a chain of hashes, and verifies it.
//
// # Format
//
// An entry is a JSON object on one line. The chain adds these members:
//
//   - time: when it was made, RFC 3339 in UTC with milliseconds
//   - seq: its number, from 1, one more than that of the entry before
//   - prev: the hash of the entry before; 64 zeros for the first
//   - hash: the SHA-256, in lower-case hex, of the canonical form of the object
//     (RFC 8785) without its members hash, level, logger and ts
//
// The members that are left out are the log's own: their form depends on the
// configuration. ts is compared with time where it can be read.
//
// A checkpoint is an entry with a signature over the hash of an earlier entry,
// and so over all entries up to that one. Its members:
//
//   - checkpoint_seq, checkpoint_hash: of the entry that is signed
//   - reference: of the key set
//   - key: the fingerprint, the SHA-256 of public_key in lower-case hex
//   - public_key: PKIX, in Base64
//   - signature: RSASSA-PKCS1-v1_5 with SHA-256, in Base64, of what Signed returns
//
// # Restarts
//
// The number and hash of the last entry are kept in a file. It is written before
// the entry is: a process that is killed in between leaves out one number, and
// never gives one to two entries. It is not synced, so that after a loss of
// power the chain may go on from an older entry, which Verify reports.
package auditchain

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// timeFormat is the format of the member time.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Head is the last entry of a chain.
type Head struct {
	Seq  uint64 // 0 if there are no entries
	Hash string // 64 hex digits; zeros if there are no entries
}

// Start is the head of a chain without entries.
var Start = Head{Hash: strings.Repeat("0", 64)}

// Chain numbers and links entries. It is safe for concurrent use. Its zero value
// is not usable; call Open.
type Chain struct {
	file    *os.File
	encoder zapcore.Encoder

	mu   sync.Mutex
	head Head

	headMu sync.Mutex // over written, so that reading it does not wait for a write
	last   Head
}

// open has the chains of this process by their files. They are kept over
// reloads, and stay open as long as the process runs: exchanges that outlive
// their configuration go on to use them.
var open struct {
	sync.Mutex
	chains map[string]*Chain
}

// Open returns the chain whose state is in a file, which is made if it is
// missing. Within a process there is one chain for each file. A file that
// another process has open is an error.
func Open(path string) (*Chain, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, i18n.Errorf("opening the state of the audit chain: %w", err)
	}
	open.Lock()
	defer open.Unlock()
	if c := open.chains[path]; c != nil {
		return c, nil
	}
	c, err := load(path)
	if err != nil {
		return nil, i18n.Errorf("opening the state of the audit chain: %w", err)
	}
	if open.chains == nil {
		open.chains = make(map[string]*Chain)
	}
	open.chains[path] = c
	return c, nil
}

func load(path string) (*Chain, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		_ = file.Close()
		return nil, i18n.Errorf("%s is in use by another process; give each process a state file of its own: %w", path, err)
	}
	head, err := readState(file)
	if err != nil {
		_ = file.Close()
		return nil, i18n.Errorf("%s: %w", path, err)
	}
	return &Chain{
		file: file, head: head, last: head,
		encoder: zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg", SkipLineEnding: true}),
	}, nil
}

// stateFormat is the content of a state file. It always has the same length, so
// that it is replaced in one write.
const stateFormat = "%020d %s\n"

// ReadState returns the last entry of the chain whose state is in a file, also while
// a process writes it.
func ReadState(path string) (Head, error) {
	file, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return Head{}, i18n.Errorf("reading the state of the audit chain: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	head, err := readState(file)
	if err != nil {
		return Head{}, i18n.Errorf("reading the state of the audit chain: %s: %w", path, err)
	}
	return head, nil
}

func readState(file *os.File) (Head, error) {
	text := make([]byte, 256)
	n, _ := file.ReadAt(text, 0) // what is wrong shows below
	if n == 0 {
		return Start, nil
	}
	var head Head
	if _, err := fmt.Sscanf(string(text[:n]), stateFormat, &head.Seq, &head.Hash); err != nil || len(head.Hash) != 64 {
		return Head{}, i18n.Errorf("the file is damaged; move it away to begin a new chain")
	}
	return head, nil
}

// Head returns the last entry that was written. It does not wait for an entry
// that is being written.
func (c *Chain) Head() Head {
	c.headMu.Lock()
	defer c.headMu.Unlock()
	return c.last
}

// Append links an entry to the chain and calls write with its fields and those
// of the chain. Entries are written in the order of their numbers, so it waits
// while another entry is written. A number is used up even if write fails, so
// that an entry that was lost leaves a gap.
func (c *Chain) Append(entry zapcore.Entry, fields []zapcore.Field, write func([]zapcore.Field) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	linked := make([]zapcore.Field, 0, len(fields)+4)
	linked = append(linked, fields...)
	linked = append(linked,
		zap.String("time", FormatTime(entry.Time)),
		zap.Uint64("seq", c.head.Seq+1),
		zap.String("prev", c.head.Hash))
	text, err := c.encoder.Clone().EncodeEntry(zapcore.Entry{Message: entry.Message}, linked)
	if err != nil {
		return i18n.Errorf("encoding an audit entry: %w", err)
	}
	defer text.Free()
	hash, err := Hash(text.Bytes())
	if err != nil {
		return i18n.Errorf("hashing an audit entry: %w", err)
	}
	next := Head{c.head.Seq + 1, hash}
	if _, err := c.file.WriteAt(fmt.Appendf(nil, stateFormat, next.Seq, next.Hash), 0); err != nil {
		return i18n.Errorf("writing the state of the audit chain: %w", err)
	}
	c.head = next
	if err := write(append(linked, zap.String("hash", hash))); err != nil {
		return err
	}
	c.headMu.Lock()
	defer c.headMu.Unlock()
	c.last = next
	return nil
}

package auditchain_test

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/countersign/caddy-countersign/module/telemetry/auditchain"
)

// book writes entries to lines as a log does.
type book struct {
	t     *testing.T
	chain *auditchain.Chain
	lines []string
	key   *rsa.PrivateKey
}

func newBook(t *testing.T) *book {
	t.Helper()
	chain, err := auditchain.Open(filepath.Join(t.TempDir(), "state"))
	require.NoError(t, err)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return &book{t: t, chain: chain, key: key}
}

var logEncoder = func() zapcore.Encoder {
	config := zap.NewProductionEncoderConfig()
	return zapcore.NewJSONEncoder(config)
}()

func (b *book) append(message string, at time.Time, fields ...zapcore.Field) {
	b.t.Helper()
	entry := zapcore.Entry{Level: zapcore.InfoLevel, Time: at, LoggerName: "http.countersign.audit", Message: message}
	require.NoError(b.t, b.chain.Append(entry, fields, func(fields []zapcore.Field) error {
		line, err := logEncoder.Clone().EncodeEntry(entry, fields)
		b.lines = append(b.lines, strings.TrimSpace(line.String()))
		return err
	}))
}

func (b *book) entries(n int) {
	for range n {
		b.append("exchange", time.Now(), zap.String("id", "I<\u2028"), zap.Float64("seal_ms", 0.1), zap.Strings("key_fingerprints", []string{"a"}))
	}
}

// checkpoint signs the head.
func (b *book) checkpoint() {
	b.t.Helper()
	now, head := time.Now(), b.chain.Head()
	b.append("checkpoint", now, checkpoint(b.t, b.key, head, now)...)
}

func checkpoint(t *testing.T, key *rsa.PrivateKey, head auditchain.Head, at time.Time) []zapcore.Field {
	t.Helper()
	digest := sha256.Sum256(auditchain.Signed(head, auditchain.FormatTime(at)))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return auditchain.CheckpointFields(head, auditchain.Signature{
		Reference: "audit", PublicKey: der, Value: base64.StdEncoding.EncodeToString(signature),
	})
}

func (b *book) fingerprint() string {
	der, err := x509.MarshalPKIXPublicKey(&b.key.PublicKey)
	require.NoError(b.t, err)
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// verify writes the lines to files, cut at the given places, and verifies them.
func verify(t *testing.T, options auditchain.Options, parts ...[]string) *auditchain.Report {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for i, lines := range parts {
		name := filepath.Join(dir, fmt.Sprintf("audit.%d.log", i))
		require.NoError(t, os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
		files = append(files, name)
	}
	report, err := auditchain.Verify(files, options)
	require.NoError(t, err)
	return report
}

func TestWhole(t *testing.T) {
	b := newBook(t)
	b.entries(5)
	b.checkpoint()
	b.entries(3)
	other := `{"level":"info","ts":1,"logger":"http.log.access","msg":"handled request","seq":1}`
	report := verify(t, auditchain.Options{Keys: []string{b.fingerprint()}},
		slices.Concat(b.lines[6:], []string{other}), b.lines[:3], b.lines[3:6])
	require.Empty(t, report.Faults)
	assert.Equal(t, 9, report.Entries)
	assert.EqualValues(t, 1, report.First)
	assert.EqualValues(t, 9, report.Last)
	assert.EqualValues(t, 5, report.Covered())
	require.Len(t, report.Checkpoints, 1)
	assert.Equal(t, b.fingerprint(), report.Checkpoints[0].Key)
	assert.Equal(t, "audit", report.Checkpoints[0].Reference)
	assert.Contains(t, report.Files[0].Name, "audit.1.log", "files are put in order")
	assert.EqualValues(t, 4, report.Files[1].First)
}

func TestBroken(t *testing.T) {
	b := newBook(t)
	b.entries(5)
	b.checkpoint()
	b.entries(3)
	b.checkpoint()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	edit := func(i int, old, new string) func([]string) []string {
		return func(lines []string) []string {
			changed := strings.Replace(lines[i], old, new, 1)
			require.NotEqual(t, lines[i], changed)
			lines[i] = changed
			return lines
		}
	}
	for name, test := range map[string]struct {
		change func([]string) []string
		want   string
	}{
		"a value":           {edit(2, `"seal_ms":0.1`, `"seal_ms":0.2`), "3: entry 3 was changed"},
		"a member more":     {edit(2, `"seal_ms":0.1`, `"seal_ms":0.1,"caller":"x"`), "3: entry 3 was changed"},
		"a member twice":    {edit(2, `"seal_ms":0.1`, `"seal_ms":0.1,"seal_ms":0.1`), "3: the line is not a whole JSON object"},
		"the message":       {edit(2, `"exchange"`, `"notification"`), "3: entry 3 was changed"},
		"the log's time":    {edit(2, `"ts":1`, `"ts":2`), "ts is not the time"},
		"the hash":          {edit(2, `"hash":"`, `"hash":"0`), "3: entry 3 was changed"},
		"the chain's parts": {edit(2, `"hash":`, `"hush":`), "3: an audit entry without seq and hash"},
		"cut in the middle": {func(l []string) []string { return slices.Delete(l, 2, 4) }, "3: entries 3 to 4 are missing"},
		"cut one":           {func(l []string) []string { return slices.Delete(l, 2, 3) }, "3: entry 3 is missing"},
		"cut at the start":  {func(l []string) []string { return l[2:] }, "1: entries 1 to 2 are missing"},
		"a line cut short":  {func(l []string) []string { l[9] = l[9][:40]; return l }, "10: the line is not a whole JSON object"},
		"an entry behind one that broke off": {func(l []string) []string {
			l[2] = l[2][:60] + l[3] // the disk was full for a moment
			return slices.Delete(l, 3, 4)
		}, ":3: entry 3 is missing]"},
		"swapped":  {func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }, "4: entry 3 is out of order"},
		"repeated": {func(l []string) []string { return slices.Insert(l, 3, l[2]) }, "4: entry 3 is out of order or repeated"},
		"all":      {func([]string) []string { return []string{"{}"} }, "there are no chained entries"},
		"replaced, with its own hash": {func(l []string) []string {
			l[2] = rehash(t, strings.Replace(l[2], `"seal_ms":0.1`, `"seal_ms":0.2`, 1))
			return l
		}, "4: entry 4 does not follow entry 3"},
		"all replaced from there on": {func(l []string) []string {
			l[2] = strings.Replace(l[2], `"seal_ms":0.1`, `"seal_ms":0.2`, 1)
			return relink(t, l)
		}, "6: entry 5 is not the one that this checkpoint signs"},
		"a checkpoint that was edited and linked again": {func(l []string) []string {
			l[5] = strings.Replace(l[5], `"checkpoint_seq":5`, `"checkpoint_seq":4`, 1)
			return relink(t, l)
		}, "6: the checkpoint is not genuine: its signature does not verify"},
		"a checkpoint under another name": {func(l []string) []string {
			l[5] = strings.Replace(l[5], `"key":"`, `"key":"0`, 1)
			return relink(t, l)
		}, "6: the checkpoint is not genuine: its fingerprint"},
		"another chain": {func(l []string) []string {
			n := newBook(t)
			n.entries(2)
			return append(l, n.lines...)
		}, "11: a new chain begins here"},
	} {
		t.Run(name, func(t *testing.T) {
			report := verify(t, auditchain.Options{}, test.change(slices.Clone(b.lines)))
			require.False(t, report.Whole())
			assert.Contains(t, fmt.Sprint(report.Faults), test.want)
			t.Log(report.Faults)
		})
	}

	t.Run("forged with a key of one's own", func(t *testing.T) {
		forger := newBook(t)
		forger.key = other
		forger.entries(5)
		forger.checkpoint()
		report := verify(t, auditchain.Options{}, forger.lines)
		assert.Empty(t, report.Faults, "nothing says which key it should be")
		assert.NotEqual(t, b.fingerprint(), report.Checkpoints[0].Key)
		report = verify(t, auditchain.Options{Keys: []string{b.fingerprint()}}, forger.lines)
		assert.Contains(t, fmt.Sprint(report.Faults), "signed by another key")
	})
	t.Run("a file is missing", func(t *testing.T) {
		report := verify(t, auditchain.Options{}, b.lines[:2], b.lines[4:])
		assert.Contains(t, fmt.Sprint(report.Faults), "audit.1.log:1: entries 3 to 4 are missing")
	})
	t.Run("old files were put away", func(t *testing.T) {
		report := verify(t, auditchain.Options{From: 5}, b.lines[4:])
		assert.Empty(t, report.Faults)
		assert.Len(t, report.Checkpoints, 2)
		report = verify(t, auditchain.Options{From: 5}, b.lines[5:])
		assert.NotEmpty(t, report.Faults)
	})
}

// rehash gives a line the hash of its content.
func rehash(t *testing.T, line string) string {
	t.Helper()
	hash, err := auditchain.Hash([]byte(line))
	require.NoError(t, err)
	at := strings.Index(line, `"hash":"`) + len(`"hash":"`)
	return line[:at] + hash + line[at+64:]
}

// relink makes a whole chain of lines that were edited, as somebody would who has
// no key.
func relink(t *testing.T, lines []string) []string {
	t.Helper()
	prev := strings.Repeat("0", 64)
	for i, line := range lines {
		at := strings.Index(line, `"prev":"`) + len(`"prev":"`)
		lines[i] = rehash(t, line[:at]+prev+line[at+64:])
		at = strings.Index(lines[i], `"hash":"`) + len(`"hash":"`)
		prev = lines[i][at : at+64]
	}
	return lines
}

func TestStateSurvives(t *testing.T) {
	b := newBook(t)
	b.entries(3)
	dir := t.TempDir()
	state := filepath.Join(dir, "deep", "state")
	c, err := auditchain.Open(state)
	require.NoError(t, err)
	again, err := auditchain.Open(filepath.Join(dir, "deep", ".", "state"))
	require.NoError(t, err)
	assert.Same(t, c, again, "one chain for each file")

	// As a process finds it that is started later.
	text := fmt.Sprintf("%020d %s\n", b.chain.Head().Seq, b.chain.Head().Hash)
	later := filepath.Join(dir, "later")
	require.NoError(t, os.WriteFile(later, []byte(text), 0o600))
	b.chain, err = auditchain.Open(later)
	require.NoError(t, err)
	b.entries(2)
	report := verify(t, auditchain.Options{}, b.lines)
	assert.Empty(t, report.Faults)
	assert.EqualValues(t, 5, report.Last)
	now, err := os.ReadFile(later)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("%020d %s\n", 5, b.chain.Head().Hash), string(now))

	damaged := filepath.Join(dir, "damaged")
	require.NoError(t, os.WriteFile(damaged, []byte("5 abc"), 0o600))
	_, err = auditchain.Open(damaged)
	assert.ErrorContains(t, err, "damaged")
}

func TestAnEntryThatIsNotWrittenLeavesAGap(t *testing.T) {
	b := newBook(t)
	b.entries(1)
	failed := errors.New("no space left on device")
	require.ErrorIs(t, b.chain.Append(zapcore.Entry{}, nil, func([]zapcore.Field) error { return failed }), failed)
	b.entries(1)
	report := verify(t, auditchain.Options{}, b.lines)
	assert.Contains(t, fmt.Sprint(report.Faults), "entry 2 is missing")
}

func TestConcurrentEntries(t *testing.T) {
	b := newBook(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { b.entries(25) })
	}
	all.Wait()
	report := verify(t, auditchain.Options{}, b.lines)
	assert.Empty(t, report.Faults)
	assert.EqualValues(t, 200, report.Last)
}

func TestCompressedFiles(t *testing.T) {
	b := newBook(t)
	b.entries(2)
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	_, err := w.Write([]byte(strings.Join(b.lines, "\n")))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	name := filepath.Join(t.TempDir(), "audit.log.gz")
	require.NoError(t, os.WriteFile(name, text.Bytes(), 0o600))
	report, err := auditchain.Verify([]string{name}, auditchain.Options{})
	require.NoError(t, err)
	assert.Empty(t, report.Faults)
	_, err = auditchain.Verify([]string{name + ".none"}, auditchain.Options{})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// The hash is that of RFC 8785, so that others can compute it.
func TestHash(t *testing.T) {
	canonical := `{"a":"é","b":[1,"x"],"msg":"m"}`
	sum := sha256.Sum256([]byte(canonical))
	got, err := auditchain.Hash([]byte(`{ "msg":"m", "b":[1.0,"\u0078"], "hash":"", "ts":1, "level":"info", "logger":"l", "a":"\u00e9" }`))
	require.NoError(t, err)
	assert.Equal(t, hex.EncodeToString(sum[:]), got)
	var same map[string]any
	require.NoError(t, json.Unmarshal([]byte(canonical), &same))
	for _, bad := range []string{`[]`, `{"a":1} x`, `{"a":1,"a":1}`, `{`} {
		_, err := auditchain.Hash([]byte(bad))
		assert.Error(t, err, bad)
	}
}

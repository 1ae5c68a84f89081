package file

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

const testSettle = 120 * time.Millisecond

// settling returns a source that waits as the real one does, only shorter.
func (f folder) settling() *Source {
	return &Source{Dir: f.dir, Refresh: caddy.Duration(10 * time.Millisecond), Settle: caddy.Duration(testSettle)}
}

// age makes every file of a folder look as if it had been there for long.
func (f folder) age(dir string) {
	f.t.Helper()
	then := time.Now().Add(-time.Hour)
	entries, err := os.ReadDir(f.path(dir))
	require.NoError(f.t, err)
	for _, entry := range entries {
		require.NoError(f.t, os.Chtimes(f.path(dir+"/"+entry.Name()), then, then))
	}
}

func reload(t *testing.T, s *Source, reference string, previous *keys.Set) *keys.Set {
	t.Helper()
	set, err := s.Load(t.Context(), reference, previous)
	require.NoError(t, err)
	return set
}

// A file that is written in two parts keeps the old set until the second part
// has been there for a while, whatever the first part looks like.
func TestHalfWrittenFiles(t *testing.T) {
	for name, c := range map[string]struct {
		file              string
		before, half, all []byte
	}{
		"a secret":                    {"secret", []byte("old-secret"), []byte("new-se"), []byte("new-secret")},
		"a secret with its line end":  {"secret", []byte("old-secret\n"), []byte("new\n"), []byte("newer\n")},
		"a secret that was truncated": {"secret", []byte("old-secret"), nil, []byte("new-secret")},
		"a named secret":              {"secret@iv", []byte("old-secret"), []byte("new-se"), []byte("new-secret")},
		"secrets that are accepted":   {"verify_secret", []byte("a\nb\n"), []byte("c\n"), []byte("c\nd\n")},
		"a file of two keys":          {"verify.pem", private2(2, 3), public(1), append(bytes.Clone(public(1)), public(2)...)},
		"half a key":                  {"verify.pem", private2(2, 3), public(1)[:90], public(1)},
		"one key behind a whole one":  {"verify.pem", private2(2, 3), append(bytes.Clone(public(1)), public(2)[:90]...), append(bytes.Clone(public(1)), public(2)...)},
		"an own key":                  {"sign.pem", private(1), private(2)[:200], private(2)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write("1/encrypt.pem", public(1))
			f.write("1/"+c.file, c.before)
			f.age("1")
			s := f.settling()
			old := reload(t, s, "1", nil)
			f.write("1/"+c.file, c.half)
			for began := time.Now(); time.Since(began) < testSettle*8/10; time.Sleep(10 * time.Millisecond) {
				assert.Same(t, old, reload(t, s, "1", old), "half of it is there")
			}
			require.Eventually(t, func() bool {
				again, err := s.Load(t.Context(), "1", old)
				return err != nil || again != old
			}, 5*time.Second, 5*time.Millisecond, "the half stays")
			if _, err := s.Load(t.Context(), "1", old); err != nil {
				_, again := s.Load(t.Context(), "1", old)
				assert.Error(t, again, "an error does not come and go")
			}
			f.write("1/"+c.file, c.all)
			written := time.Now()
			require.Eventually(t, func() bool { return reload(t, s, "1", old) != old }, 5*time.Second, 5*time.Millisecond)
			assert.Greater(t, time.Since(written), testSettle*9/10, "the file system's clock ticks every few milliseconds")
		})
	}
}

func private2(n, m int) []byte { return append(bytes.Clone(public(n)), public(m)...) }

// What is renamed into place is whole, and taken at once: keys, and secrets
// behind a link.
func TestReplacedFilesAreTakenAtOnce(t *testing.T) {
	f := newFolder(t)
	f.write("1/sign.pem", private(1))
	f.age("1")
	s := f.settling()
	set := reload(t, s, "1", nil)
	f.write("1/sign.new", private(2))
	require.NoError(t, os.Rename(f.path("1/sign.new"), f.path("1/sign.pem")))
	assert.Equal(t, fingerprint(t, 2), reload(t, s, "1", set).Sign.Fingerprint)

	f.write("2/..a/secret", []byte("old"))
	f.write("2/..b/secret", []byte("new"))
	f.link("..a", "2/..data")
	f.link("..data/secret", "2/secret")
	set = reload(t, s, "2", nil)
	f.swap("2", "..b")
	assert.Equal(t, "new", string(reload(t, s, "2", set).Secret.Bytes()))

	f.write("3/secret", []byte("old"))
	f.age("3")
	set = reload(t, s, "3", nil)
	require.NoError(t, os.Remove(f.path("3/secret")))
	f.write("3/secret", []byte("ne"))
	assert.Same(t, set, reload(t, s, "3", set), "removed and written anew, in parts perhaps")
}

// Keys that were taken away serve no longer, however that was done.
func TestKeysThatWereTakenAway(t *testing.T) {
	for name, take := range map[string]func(f folder){
		"the folder":            func(f folder) { _ = os.RemoveAll(f.path("1")) },
		"the files":             func(f folder) { _ = os.Remove(f.path("1/secret")); _ = os.Remove(f.path("1/verify.pem")) },
		"the texts":             func(f folder) { f.write("1/secret", nil); f.write("1/verify.pem", nil) },
		"the texts to blanks":   func(f folder) { f.write("1/secret", []byte("\n")); f.write("1/verify.pem", []byte(" \n")) },
		"one text and one file": func(f folder) { f.write("1/secret", nil); _ = os.Remove(f.path("1/verify.pem")) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write("1/secret", []byte("s"))
			f.write("1/verify.pem", public(1))
			f.age("1")
			s := f.settling()
			set := reload(t, s, "1", nil)
			take(f)
			assert.Same(t, set, reload(t, s, "1", set), "it may be written anew")
			require.Eventually(t, func() bool {
				_, err := s.Load(t.Context(), "1", set)
				return errors.Is(err, keys.ErrUnknown)
			}, 5*time.Second, 10*time.Millisecond)
		})
	}
	f := newFolder(t)
	f.write("1/secret", []byte("s"))
	f.write("1/verify.pem", public(1))
	s := f.source()
	set := reload(t, s, "1", nil)
	f.write("1/secret", nil)
	set = reload(t, s, "1", set)
	assert.NoError(t, set.Need(keys.Verify))
	assert.ErrorIs(t, set.Need(keys.SharedSecret), keys.ErrEmpty, "an emptied secret no longer signs")
}

// A missing folder of all key sets is the source's failure, and no merchant is
// unknown for it.
func TestMissingRoot(t *testing.T) {
	f := newFolder(t)
	s := &Source{Dir: filepath.Join(f.dir, "nowhere")}
	_, err := s.Load(t.Context(), "ORG1", nil)
	require.ErrorIs(t, err, keys.ErrBroken)
	assert.NotErrorIs(t, err, keys.ErrUnknown)
	assert.ErrorContains(t, err, "nowhere")
}

// A role that breaks keeps the set, one that never served does not matter.
func TestBrokenRoleOfAFile(t *testing.T) {
	f := newFolder(t)
	f.write("1/secret", []byte("s"))
	f.write("1/verify.pem", nil)
	s := f.source()
	set := reload(t, s, "1", nil)
	require.NoError(t, set.Need(keys.SharedSecret))
	require.ErrorIs(t, set.Need(keys.Verify), keys.ErrBroken)
	f.write("1/verify.pem", public(1))
	set = reload(t, s, "1", set)
	require.NoError(t, set.Need(keys.Verify))
	f.write("1/verify.pem", public(1)[:80])
	_, err := s.Load(t.Context(), "1", set)
	assert.ErrorContains(t, err, "incomplete", "the ring keeps the old set")
}

func TestNamedKeysOfFiles(t *testing.T) {
	f := newFolder(t)
	f.write("1/verify@5157F09E.pem", public(1))
	f.write("1/secret@iv", []byte("iv\n"))
	f.write("1/sign.pem", private(2))
	f.write("1/sign.serial", []byte("0A1B\n"))
	set := reload(t, f.source(), "1", nil)
	assert.Len(t, set.VerifyKeys("5157f09e"), 1)
	assert.Equal(t, "iv", string(set.NamedSecret("iv").Bytes()))
	serial, _ := set.Serial(keys.Sign)
	assert.Equal(t, "0A1B", serial)
	f.write("1/verify@2.pem", public(3))
	assert.Len(t, reload(t, f.source(), "1", set).VerifyKeys(""), 2)
}

package file

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

// folder is a folder of key sets that a test changes.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (f folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f folder) write(name string, text []byte) {
	f.t.Helper()
	require.NoError(f.t, os.MkdirAll(filepath.Dir(f.path(name)), 0o700))
	require.NoError(f.t, os.WriteFile(f.path(name), text, 0o600))
}

func (f folder) source() *Source {
	return &Source{Dir: f.dir, Refresh: caddy.Duration(10 * time.Millisecond)}
}

// pair is the n-th key pair of the tests as PEM, made once.
var pair = func() func(n int) (private, public []byte) {
	var mu sync.Mutex
	made := map[int]*rsa.PrivateKey{}
	return func(n int) (private, public []byte) {
		mu.Lock()
		defer mu.Unlock()
		if made[n] == nil {
			key, err := rsa.GenerateKey(rand.Reader, 1024)
			if err != nil {
				panic(err)
			}
			made[n] = key
		}
		der, err := x509.MarshalPKIXPublicKey(&made[n].PublicKey)
		if err != nil {
			panic(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(made[n])}),
			pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
}()

func private(n int) []byte { text, _ := pair(n); return text }
func public(n int) []byte  { _, text := pair(n); return text }

func fingerprint(t *testing.T, n int) string {
	t.Helper()
	set, err := keys.Parse("x", "v", keys.Material{keys.Verify: {Text: public(n)}})
	require.NoError(t, err)
	return set.Verify[0].Fingerprint
}

func TestLoad(t *testing.T) {
	f := newFolder(t)
	f.write("easypay/1/sign.pem", private(1))
	f.write("easypay/1/verify.pem", append(public(2), public(3)...))
	f.write("easypay/1/encrypt.pem", public(2))
	f.write("easypay/1/decrypt.pem", private(3))
	f.write("easypay/1/secret", []byte("shared\r\n"))
	f.write("easypay/1/verify_secret", []byte("old\nolder\n"))
	f.write("easypay/1/README", []byte("not a key"))
	f.write("easypay/1/sign.pem~", []byte("an editor's"))

	set, err := f.source().Load(t.Context(), "easypay/1", nil)
	require.NoError(t, err)
	assert.Equal(t, "easypay/1", set.Reference)
	assert.NoError(t, set.Need(keys.Roles...))
	assert.Equal(t, []string{fingerprint(t, 2), fingerprint(t, 3)}, set.Fingerprints(keys.Verify))
	assert.Equal(t, "shared", string(set.Secret.Bytes()))
	assert.Len(t, set.VerifySecrets, 3)
	assert.Equal(t, "file "+f.path("easypay/1/sign.pem"), set.Sign.Origin)
	info, err := os.Stat(f.path("easypay/1/verify_secret"))
	require.NoError(t, err)
	assert.Equal(t, info.ModTime().UTC().Format(time.RFC3339Nano), set.Version, "the time of the newest file")

	again, err := f.source().Load(t.Context(), "easypay/1", set)
	require.NoError(t, err)
	assert.Same(t, set, again, "nothing changed")
}

func TestLoadFails(t *testing.T) {
	f := newFolder(t)
	f.write("broken/sign.pem", private(1)[:100])
	f.write("wrong/verify.pem", private(1))
	f.write("empty/README", nil)
	f.write("emptied/secret", []byte("\n"))
	f.write("emptied/sign.pem", nil)
	f.write("large/secret", make([]byte, maxFile+1))
	f.write("file", []byte("x"))
	require.NoError(t, os.MkdirAll(f.path("directory/secret"), 0o700))
	require.NoError(t, os.MkdirAll(f.path("fifo"), 0o700))
	require.NoError(t, syscall.Mkfifo(f.path("fifo/secret"), 0o600))
	require.NoError(t, os.MkdirAll(f.path("loop"), 0o700))
	require.NoError(t, os.Symlink("secret", f.path("loop/secret")))

	for reference, want := range map[string]string{
		"broken":    "reading the sign key from file " + f.path("broken/sign.pem") + ": a PEM block is incomplete",
		"wrong":     "must never be here",
		"large":     "larger than 262144 bytes",
		"directory": "is not a regular file",
		"fifo":      "is not a regular file",
		"loop":      "looking at the key files",
	} {
		set, err := f.source().Load(t.Context(), reference, nil)
		assert.Nil(t, set)
		require.ErrorContains(t, err, want, reference)
		assert.NotErrorIs(t, err, keys.ErrUnknown, "%s is there, and wrong", reference)
		assert.ErrorIs(t, err, keys.ErrBroken, "nobody need wait for %s", reference)
	}
	for _, reference := range []string{"missing", "missing/1", "file", "broken/1", "empty", "emptied"} {
		set, err := f.source().Load(t.Context(), reference, nil)
		assert.Nil(t, set)
		assert.ErrorIs(t, err, keys.ErrUnknown, reference)
	}
	f.write("large/secret", bytes.Repeat([]byte("x"), maxFile))
	_, err := f.source().Load(t.Context(), "large", nil)
	assert.NoError(t, err)
}

func TestChangesAreSeen(t *testing.T) {
	base := time.Now().Add(-time.Hour)
	old := func(path string) { _ = os.Chtimes(path, base, base) }
	for name, change := range map[string]func(f folder){
		"another text":           func(f folder) { f.write("1/secret", []byte("newer")); old(f.path("1/secret")) },
		"one more file":          func(f folder) { f.write("1/verify.pem", public(1)); old(f.path("1/verify.pem")) },
		"one file less":          func(f folder) { _ = os.Remove(f.path("1/verify_secret")) },
		"a text of equal length": func(f folder) { f.write("1/secret", []byte("neu")) },
		"another file of the same name and times": func(f folder) {
			f.write("1/secret.new", []byte("neu"))
			old(f.path("1/secret.new"))
			_ = os.Rename(f.path("1/secret.new"), f.path("1/secret"))
		},
		"another folder of the same name": func(f folder) {
			f.write("2/secret", []byte("neu"))
			f.write("2/verify_secret", []byte("x"))
			old(f.path("2/secret"))
			old(f.path("2/verify_secret"))
			_ = os.Rename(f.path("1"), f.path("0"))
			_ = os.Rename(f.path("2"), f.path("1"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write("1/secret", []byte("old"))
			f.write("1/verify_secret", []byte("x"))
			old(f.path("1/secret"))
			old(f.path("1/verify_secret"))
			before, err := f.source().Load(t.Context(), "1", nil)
			require.NoError(t, err)
			change(f)
			after, err := f.source().Load(t.Context(), "1", before)
			require.NoError(t, err)
			assert.NotSame(t, before, after)
			assert.Equal(t, "old", string(before.Secret.Bytes()))
		})
	}
}

// A file that is written twice within one tick of the file system's clock, with
// texts of one length, looks the same. So a young file is read again.
func TestYoungFilesAreReadAgain(t *testing.T) {
	f := newFolder(t)
	now := time.Now()
	f.write("1/secret", []byte("old"))
	require.NoError(t, os.Chtimes(f.path("1/secret"), now, now))
	before, err := f.source().Load(t.Context(), "1", nil)
	require.NoError(t, err)
	same, err := f.source().Load(t.Context(), "1", before)
	require.NoError(t, err)
	assert.Same(t, before, same)

	f.write("1/secret", []byte("new"))
	require.NoError(t, os.Chtimes(f.path("1/secret"), now, now))
	after, err := f.source().Load(t.Context(), "1", before)
	require.NoError(t, err)
	assert.Equal(t, "new", string(after.Secret.Bytes()))
}

// While a folder is swapped again and again, no set mixes two versions.
func TestNoMixtureOfVersions(t *testing.T) {
	f := newFolder(t)
	version := func(n int) string {
		name := fmt.Sprintf("..%d", n)
		f.write("mount/"+name+"/sign.pem", private(n%2))
		f.write("mount/"+name+"/verify.pem", public(n%2))
		return name
	}
	f.link(version(0), "mount/..data")
	f.link("..data/sign.pem", "mount/sign.pem")
	f.link("..data/verify.pem", "mount/verify.pem")
	ctx, cancel := context.WithCancel(t.Context())
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			f.swap("mount", version(n)) // no version comes back
			time.Sleep(100 * time.Microsecond)
		}
	})
	s := f.source()
	loaded := 0
	for range 500 {
		set, err := s.Load(ctx, "mount", nil)
		if err != nil {
			assert.ErrorContains(t, err, "keep changing")
			continue
		}
		loaded++
		require.Equal(t, set.Sign.Fingerprint, set.Verify[0].Fingerprint)
	}
	cancel()
	swapping.Wait()
	assert.Positive(t, loaded)
}

func (f folder) link(target, name string) {
	f.t.Helper()
	require.NoError(f.t, os.Symlink(target, f.path(name)))
}

// swap has ..data point elsewhere at once, as Kubernetes does it.
func (f folder) swap(dir, target string) {
	f.t.Helper()
	assert.NoError(f.t, os.Symlink(target, f.path(dir+"/..data_tmp")))
	assert.NoError(f.t, os.Rename(f.path(dir+"/..data_tmp"), f.path(dir+"/..data")))
}

// serve keeps the folder's sets as the sidecar does, and collects errors.
func (f folder) serve(reference string) (*keys.Ring, func() string) {
	var mu sync.Mutex
	var failed string
	r := keys.NewRing(f.source(), keys.Options{Name: "default", Refresh: 10 * time.Millisecond,
		Refreshed: func(_ string, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed = ""
			if err != nil {
				failed = err.Error()
			}
		}})
	r.Pin(reference)
	r.Start()
	f.t.Cleanup(r.Close)
	return r, func() string {
		mu.Lock()
		defer mu.Unlock()
		return failed
	}
}

func signs(t *testing.T, r *keys.Ring, reference, want string) func() bool {
	t.Helper()
	return func() bool {
		set, err := r.Get(t.Context(), reference)
		return err == nil && set.Sign.Fingerprint == want
	}
}

func TestChangesWhileServing(t *testing.T) {
	f := newFolder(t)
	f.write("easypay/1/sign.pem", private(1))
	r, failed := f.serve("easypay/1")
	set, err := r.Get(t.Context(), "easypay/1")
	require.NoError(t, err)
	assert.Equal(t, fingerprint(t, 1), set.Sign.Fingerprint)

	eventually := func(condition func() bool, text string) {
		t.Helper()
		require.Eventually(t, condition, 5*time.Second, 2*time.Millisecond, text)
	}
	f.write("easypay/1/sign.pem", private(2))
	eventually(signs(t, r, "easypay/1", fingerprint(t, 2)), "written in place")
	f.write("easypay/1/sign.tmp", private(1))
	require.NoError(t, os.Rename(f.path("easypay/1/sign.tmp"), f.path("easypay/1/sign.pem")))
	eventually(signs(t, r, "easypay/1", fingerprint(t, 1)), "renamed into place")

	for text, want := range map[string]string{
		string(private(2)[:200]): "incomplete",
		string(public(2)):        "needs the private one",
		"rm -rf":                 "neither PEM nor Base64",
	} {
		f.write("easypay/1/sign.pem", []byte(text))
		eventually(func() bool { return strings.Contains(failed(), want) }, want)
		assert.True(t, signs(t, r, "easypay/1", fingerprint(t, 1))(), "the old set serves on")
		assert.Contains(t, failed(), f.path("easypay/1/sign.pem"))
	}
	f.write("easypay/1/sign.pem", private(2))
	eventually(signs(t, r, "easypay/1", fingerprint(t, 2)), "whole again")
	eventually(func() bool { return failed() == "" }, "and nothing fails any more")
}

// Kubernetes swaps all files of a mounted Secret by renaming one symbolic link.
func TestKubernetesSwap(t *testing.T) {
	f := newFolder(t)
	f.write("1/..2026_01/sign.pem", private(1))
	f.link("..2026_01", "1/..data")
	f.link("..data/sign.pem", "1/sign.pem")
	r, failed := f.serve("1")
	require.True(t, signs(t, r, "1", fingerprint(t, 1))())
	for n := 2; n < 5; n++ {
		stamp := fmt.Sprintf("..2026_%02d", n)
		f.write("1/"+stamp+"/sign.pem", private(n))
		f.swap("1", stamp)
		require.NoError(t, os.RemoveAll(f.path(fmt.Sprintf("1/..2026_%02d", n-1))))
		require.Eventually(t, signs(t, r, "1", fingerprint(t, n)), 5*time.Second, 2*time.Millisecond)
	}
	require.Eventually(t, func() bool { return failed() == "" }, 5*time.Second, 2*time.Millisecond)
}

func TestFolderThatComesLate(t *testing.T) {
	f := newFolder(t)
	f.dir = filepath.Join(f.dir, "later")
	assert.Error(t, f.source().Probe(t.Context()))
	r, _ := f.serve("1")
	f.write("1/sign.pem", private(1))
	require.Eventually(t, signs(t, r, "1", fingerprint(t, 1)), 5*time.Second, 2*time.Millisecond)
	assert.NoError(t, f.source().Probe(t.Context()))
	f.write("x", nil)
	assert.ErrorContains(t, (&Source{Dir: f.path("x")}).Probe(t.Context()), "is not a folder")
}

func TestUnmarshalCaddyfile(t *testing.T) {
	s := new(Source)
	require.NoError(t, s.UnmarshalCaddyfile(caddyfile.NewTestDispenser("file keys {\n name a\n refresh 5s\n settle 1s\n}")))
	assert.Equal(t, &Source{Dir: "keys", Name: "a", Refresh: caddy.Duration(5 * time.Second), Settle: caddy.Duration(time.Second)}, s)
	for text, want := range map[string]string{
		"file":                               "exactly one folder",
		"file a b":                           "exactly one folder",
		"file a {\n x y\n}":                  `unknown option "x"`,
		"file a {\n name\n}":                 "name takes exactly one value",
		"file a {\n name x y\n}":             "name takes exactly one value",
		"file a {\n name x\n name y\n}":      "name is given twice",
		"file a {\n refresh x\n}":            "refresh must be a duration",
		"file a {\n refresh 0s\n}":           "refresh must be a duration",
		"file a {\n refresh -1s\n}":          "refresh must be a duration",
		"file a {\n refresh 1s\nrefresh 2s}": "refresh is given twice",
		"file a {\n settle 0s\n}":            "settle must be a duration",
	} {
		err := new(Source).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		assert.ErrorContains(t, err, want, text)
		assert.ErrorContains(t, err, "Testfile:", text)
	}
}

func TestProvision(t *testing.T) {
	t.Setenv("COUNTERSIGN_TEST_DIR", "/somewhere")
	s := &Source{Dir: "{env.COUNTERSIGN_TEST_DIR}/keys", Name: "x"}
	require.NoError(t, s.Provision(caddy.Context{}))
	require.NoError(t, s.Validate())
	assert.Equal(t, "/somewhere/keys", s.Dir)
	terms := s.Terms()
	assert.Equal(t, "x", terms.Name)
	assert.Equal(t, "file", terms.Kind)
	assert.Equal(t, time.Second, terms.Refresh)
	assert.Greater(t, time.Duration(s.Settle), 3*time.Second)
	assert.Zero(t, terms.MaxStale)

	assert.Error(t, (&Source{Dir: "{env.COUNTERSIGN_TEST_NOT_SET}"}).Provision(caddy.Context{}), "an empty folder name would be the working directory")
	assert.Error(t, new(Source).Validate())
}

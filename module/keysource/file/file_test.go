package file

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
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

// A folder without any key set is a source that is broken, as one that is missing, and
// not a merchant that is unknown. Once there were sets, they were taken away.
func TestAnEmptyFolderIsABrokenSource(t *testing.T) {
	for name, fill := range map[string]func(dir string) error{
		"empty":         func(string) error { return nil },
		"a mount point": func(dir string) error { return os.Mkdir(filepath.Join(dir, "lost+found"), 0o700) },
		"notes only":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "README"), nil, 0o600) },
	} {
		dir := t.TempDir()
		require.NoError(t, fill(dir), name)
		s := &Source{Dir: dir}
		_, err := s.Load(t.Context(), "easypay/1", nil)
		require.ErrorIs(t, err, keys.ErrBroken, name)
		require.NotErrorIs(t, err, keys.ErrUnknown)
		require.ErrorContains(t, err, "its volume is not mounted")

		require.NoError(t, os.MkdirAll(filepath.Join(dir, "easypay", "1"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "easypay", "1", "secret"), []byte("a secret of some length"), 0o600))
		require.NoError(t, s.Probe(t.Context()))
		_, err = s.Load(t.Context(), "easypay/2", nil)
		require.ErrorIs(t, err, keys.ErrUnknown, "another merchant")
		_, err = s.Load(t.Context(), "easypay/1", nil)
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "easypay")))
		_, err = s.Load(t.Context(), "easypay/1", nil)
		require.ErrorIs(t, err, keys.ErrUnknown, "it was taken away")
		require.NoError(t, s.Probe(t.Context()))
	}
}

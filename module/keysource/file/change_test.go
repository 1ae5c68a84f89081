package file

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

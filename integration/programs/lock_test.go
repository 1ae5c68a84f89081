//go:build unix

package programs

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	require.NoError(t, err)

	impatient, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = lock(impatient, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	time.AfterFunc(100*time.Millisecond, unlock)
	patient, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	unlock, err = lock(patient, path)
	require.NoError(t, err)
	unlock()

	_, err = lock(t.Context(), filepath.Join(t.TempDir(), "missing", "lock"))
	require.Error(t, err)
}

func TestPathSaysWhatFailed(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := Path(t.Context(), Program{"nothing", ".", "./integration/no-such-package"})
	require.ErrorContains(t, err, "building nothing")
	require.ErrorContains(t, err, "no-such-package")
}

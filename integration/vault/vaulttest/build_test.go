package vaulttest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
)

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	unlock, err := vaulttest.LockFile(t.Context(), path)
	require.NoError(t, err)

	impatient, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = vaulttest.LockFile(impatient, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	time.AfterFunc(100*time.Millisecond, unlock)
	patient, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	unlock, err = vaulttest.LockFile(patient, path)
	require.NoError(t, err)
	unlock()

	_, err = vaulttest.LockFile(t.Context(), filepath.Join(t.TempDir(), "missing", "lock"))
	require.Error(t, err)
}

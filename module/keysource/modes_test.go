package keysource

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bits of a file are looked at where they mean something.
func TestPermissions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sign.pem")
	require.NoError(t, os.WriteFile(file, nil, 0o640))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, map[bool]fs.FileMode{true: 0o640, false: 0}[HasModes], Permissions(info))
}

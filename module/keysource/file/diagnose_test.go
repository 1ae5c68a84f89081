package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keysource"
)

// tree makes a folder with two key sets whose files only the owner can read.
func tree(t *testing.T) *Source {
	t.Helper()
	s := &Source{Dir: t.TempDir()}
	require.NoError(t, os.Chmod(s.Dir, 0o700))
	for _, name := range []string{"easypay/1/sign.pem", "easypay/1/verify.pem", "hkrt/2/secret"} {
		path := filepath.Join(s.Dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	return s
}

func TestDiagnoseFindsModesThatAreTooWide(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		mode   os.FileMode
		status keysource.Status
		reason string
	}{
		"group may read a private key":  {"easypay/1/sign.pem", 0o640, keysource.Warning, "read a private key"},
		"all may read a private key":    {"easypay/1/sign.pem", 0o604, keysource.Warning, "read a private key"},
		"all may read a secret":         {"hkrt/2/secret", 0o644, keysource.Warning, "read a private key"},
		"group may write a private key": {"easypay/1/sign.pem", 0o620, keysource.Failure, "in the place of these"},
		"all may write a public key":    {"easypay/1/verify.pem", 0o602, keysource.Failure, "in the place of these"},
		"all may write the folder":      {"easypay/1", 0o707, keysource.Failure, "in the place of these"},
		"group may write the root":      {".", 0o770, keysource.Failure, "in the place of these"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tree(t)
			path := filepath.Join(s.Dir, filepath.FromSlash(test.path))
			require.NoError(t, os.Chmod(path, test.mode))
			var bad []keysource.Finding
			for _, f := range s.Diagnose(t.Context(), []string{"easypay/1", "hkrt/2"}) {
				if f.Status != keysource.OK {
					bad = append(bad, f)
				}
			}
			require.Len(t, bad, 1)
			assert.Equal(t, test.status, bad[0].Status)
			assert.Equal(t, path, bad[0].Subject)
			assert.Contains(t, bad[0].Reason, test.reason)
			assert.Contains(t, bad[0].Advice, "chmod go-")
		})
	}
}

func TestDiagnoseLeavesPublicKeysReadable(t *testing.T) {
	s := tree(t)
	require.NoError(t, os.Chmod(filepath.Join(s.Dir, "easypay", "1", "verify.pem"), 0o644))
	found := s.Diagnose(t.Context(), []string{"easypay/1", "hkrt/2", "hkrt/nowhere"})
	require.Len(t, found, 2)
	for _, f := range found {
		assert.Equal(t, keysource.OK, f.Status, f.Subject)
	}
}

func TestReferences(t *testing.T) {
	s := tree(t)
	// A mounted Secret keeps its versions in folders that begin with a dot.
	hidden := filepath.Join(s.Dir, "hkrt", "2", "..2026")
	require.NoError(t, os.Mkdir(hidden, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(hidden, "secret"), []byte("x"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(s.Dir, "empty"), 0o700))

	found, err := s.References(t.Context(), 10)
	require.NoError(t, err)
	assert.Equal(t, []string{"easypay/1", "hkrt/2"}, found)

	found, err = s.References(t.Context(), 1)
	require.NoError(t, err)
	assert.Len(t, found, 1)

	_, err = (&Source{Dir: filepath.Join(s.Dir, "nowhere")}).References(t.Context(), 10)
	assert.ErrorContains(t, err, "listing the key sets")
}

// A clone with umask 002 has files that a group can write. What everybody has is
// judged once, and only in keys-dev.
func TestPublishedKeysAreJudgedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys-dev", "merchant")
	references := []string{"hkrt/405544499f016a9b3d8f57000f", "jeepay/M1623997351"}
	require.NoError(t, os.CopyFS(dir, os.DirFS("../../../keys-dev/merchant")))
	for _, reference := range references {
		require.NoError(t, os.Chmod(filepath.Join(dir, reference, "secret"), 0o664))
	}
	s := &Source{Dir: dir}
	found := s.Diagnose(t.Context(), references)
	require.Len(t, found, 1)
	assert.Equal(t, keysource.OK, found[0].Status)

	require.NoError(t, os.WriteFile(filepath.Join(dir, references[0], "secret"), []byte("a real one"), 0o664))
	require.NoError(t, os.Chmod(filepath.Join(dir, references[0], "secret"), 0o664))
	found = s.Diagnose(t.Context(), references)
	assert.True(t, len(found) > 1 && found[len(found)-1].Status != keysource.OK, "%v", found)
}

// On Windows every file has the mode 0666, which is not a reason to fail: the doctor says
// that it does not look at access lists, and how to.
func TestDiagnoseLeavesAccessListsToTheReader(t *testing.T) {
	hasModes = false
	t.Cleanup(func() { hasModes = keysource.HasModes })
	s := tree(t)
	require.NoError(t, os.Chmod(filepath.Join(s.Dir, "easypay", "1", "sign.pem"), 0o666))
	found := s.Diagnose(t.Context(), []string{"easypay/1", "hkrt/2"})
	require.Len(t, found, 1)
	assert.Equal(t, keysource.OK, found[0].Status)
	assert.Equal(t, s.Dir, found[0].Subject)
	assert.Contains(t, found[0].Reason, "icacls "+s.Dir)
}

package command_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where the text is the right one, and still the signature does not verify, diff says
// what the signature itself tells.
func TestDiffSaysWhyASignatureFails(t *testing.T) {
	dir := t.TempDir()
	body, canonical := filepath.Join(dir, "body"), filepath.Join(dir, "canonical")
	require.NoError(t, os.WriteFile(body, []byte(`{"code":"0","sign":"RSA2:`+strings.Repeat("Ab+/", 85)+`AA=="}`), 0o600))
	require.NoError(t, os.WriteFile(canonical, []byte("code=0"), 0o600))
	flags := []string{"countersign", "diff", "--scheme", "hongwen", "--as", "response"}
	var out, errs bytes.Buffer
	assert.Zero(t, run(t, nil, &out, &errs, append(flags, body, canonical)...), "no keys are needed")
	out.Reset()
	flags = append(flags, "--keys", "../../keys-dev/merchant", "--ref", "hongwen/2014072300007148")
	assert.Zero(t, run(t, nil, &out, &errs, append(flags, body, canonical)...))
	assert.Contains(t, out.String(), `the signature does not verify: the signature starts with "RSA2:"`)
}

package attack

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSecurityPageNamesRealTests keeps SECURITY.md honest: each test that it
// names is there, and the page in Chinese names the same ones.
func TestSecurityPageNamesRealTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository, "SECURITY.md"))
	require.NoError(t, err)
	declared := make(map[string]bool)
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range declaration.FindAllSubmatch(text, -1) {
			declared[string(found[1])] = true
		}
		return err
	}))
	tests := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	named := tests.FindAllSubmatch(page, -1)
	require.Greater(t, len(named), 60)
	for _, name := range named {
		assert.True(t, declared[string(name[1])], "%s is named in SECURITY.md and is nowhere", name[1])
	}

	chinese, err := os.ReadFile(filepath.Join(repository, ".github", "SECURITY.zh-CN.md"))
	require.NoError(t, err)
	assert.Equal(t, tests.FindAllString(string(page), -1), tests.FindAllString(string(chinese), -1))
}

package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every check of the doctor has its name in the table, in both languages; an option
// is called as it is written.
func TestEveryCheckHasItsName(t *testing.T) {
	files, err := filepath.Glob("doctor/*.go")
	require.NoError(t, err)
	more, err := filepath.Glob("../keysource/*/*.go")
	require.NoError(t, err)
	word := regexp.MustCompile(`(?:e\.(?:ok|warning|failure|expiry)\(|check(?:Address|Login|Policy|Files)? +:?= |Check: )"([^"]+)"`)
	seen := 0
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range word.FindAllStringSubmatch(string(text), -1) {
			seen++
			if name := match[1]; name != "persist_config" {
				assert.Contains(t, checks, name, file)
			}
		}
	}
	assert.Greater(t, seen, 30)
}

package command_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/width"
)

// The columns of recipe list begin below each other, also behind Chinese titles, and no
// row is longer than a wide terminal.
func TestRecipeListIsATable(t *testing.T) {
	var out bytes.Buffer
	require.Zero(t, run(t, nil, &out, &out, "countersign", "recipe", "list"))
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Greater(t, len(lines), 40)
	proof := strings.Index(lines[0], "PROOF")
	for _, line := range lines[1:] {
		assert.LessOrEqual(t, len(line), 250, line)
		column, at := 0, 0
		for i, r := range line {
			if at = i; column == proof {
				break
			}
			column++
			if width.LookupRune(r).Kind() == width.EastAsianWide {
				column++
			}
		}
		assert.True(t, strings.HasSuffix(line[:at], "  "), line)
		assert.Regexp(t, `^(genuine|vector|clients|documentation|guess) `, line[at:])
	}
}

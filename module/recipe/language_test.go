package recipe

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The Chinese page of the language has what the English one has: each row of a table
// with the same words, and each placeholder, algorithm and cipher.
func TestTheLanguageInChinese(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(text)
	}
	english, chinese := read("LANGUAGE.md"), read("LANGUAGE.zh-CN.md")
	heads := func(page string) (all []string) {
		for line := range strings.SplitSeq(page, "\n") {
			if cells := strings.Split(strings.ReplaceAll(line, `\|`, "¦"), "|"); len(cells) > 3 && strings.Contains(cells[1], "`") {
				words := regexp.MustCompile("`[^`]+`").FindAllString(cells[1], -1)
				all = append(all, strings.Join(words, " "))
			}
		}
		return all
	}
	assert.Equal(t, heads(english), heads(chinese))
	// What a line names outside of the tables stands in the other page as well.
	begin := strings.Index(english, "Changes: ")
	for _, span := range regexp.MustCompile("`[^`\n]+`").FindAllString(english[begin:strings.Index(english, "## Keys")], -1) {
		if !slices.Contains([]string{"`$1`"}, span) {
			assert.Contains(t, chinese, span)
		}
	}
}

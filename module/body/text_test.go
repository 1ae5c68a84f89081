package body

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestShowName(t *testing.T) {
	for name, want := range map[string]string{
		"":                                   "",
		"分账 a":                               "分账 a",
		"\x1b[31m\n\u202e":                   `\x1b[31m\n\u202e`,
		"\xff":                               `\xff`,
		strings.Repeat("账", 64):              strings.Repeat("账", 64),
		strings.Repeat("账", 65):              strings.Repeat("账", 64) + "…",
		strings.Repeat("\xff", 1<<20):        strings.Repeat(`\xff`, 64) + "…",
		strings.Repeat("a", 63) + "\n" + "b": strings.Repeat("a", 63) + `\n…`,
	} {
		assert.Equal(t, want, ShowName(name))
		assert.Equal(t, want, ShowName([]byte(name)))
	}
}

func TestLooksLikeGBK(t *testing.T) {
	for text, want := range map[string]bool{
		"":                             false,
		`{"a":"分账"}`:                   false, // UTF-8
		"{\"a\":\"\xb7\xd6\xd5\xcb\"}": true,
		"{\"a\":\"caf\xe9\"}":          false, // Latin-1
		"\xff":                         false,
		"\xb7":                         false, // cut
	} {
		assert.Equal(t, want, LooksLikeGBK([]byte(text)), "%q", text)
	}
}

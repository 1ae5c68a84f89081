package visible_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/command/visible"
)

func TestShow(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"plain text is left alone":      {"transAmt=1.00&msg=分账 成功🎉", "transAmt=1.00&msg=分账 成功🎉"},
		"line ends and tabs":            {"a=1\r\n&b=\t2\n", "a=1⟨CR⟩⟨LF⟩&b=⟨TAB⟩2⟨LF⟩"},
		"no-break space":                {"a=x\u00a0y", "a=x⟨U+00A0 no-break space⟩y"},
		"zero-width space":              {"a=8311\u200b", "a=8311⟨U+200B zero-width space⟩"},
		"byte order mark":               {"\ufeffa=1", "⟨U+FEFF byte order mark⟩a=1"},
		"full-width letter and digit":   {"a=Ａ１", "a=Ａ⟨U+FF21 full-width A⟩１⟨U+FF11 full-width 1⟩"},
		"full-width space":              {"a=张\u3000三", "a=张⟨U+3000 full-width space⟩三"},
		"right-to-left override":        {"a=\u202e1", "a=⟨U+202E right-to-left override⟩1"},
		"a control character":           {"a=\x01", "a=⟨U+0001⟩"},
		"NUL":                           {"a=\x00", "a=⟨NUL⟩"},
		"a private character":           {"a=\ue000", "a=⟨U+E000⟩"},
		"bytes of GBK":                  {"a=\xb7\xd6", "a=⟨byte 0xB7⟩⟨byte 0xD6⟩"},
		"replacement character":         {"a=\ufffd", "a=⟨U+FFFD replacement character⟩"},
		"space before a separator":      {"a=1 &b=2", "a=1⟨space⟩&b=2"},
		"space after a separator":       {"a= 1", "a=⟨space⟩1"},
		"space at the end":              {"a=1 ", "a=1⟨space⟩"},
		"two spaces":                    {"a=x  y", "a=x⟨2 spaces⟩y"},
		"an emoji's variation selector": {"a=☎\ufe0f", "a=☎⟨U+FE0F⟩"},
		"spaces at the end":             {"a=1   ", "a=1⟨3 spaces⟩"},
		"nothing":                       {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, visible.Show([]byte(test.text)))
		})
	}
}

func TestHidden(t *testing.T) {
	for _, r := range "\n\u200b\u00a0\ufeff\x01\ufe0f" {
		assert.True(t, visible.Hidden(r), "%U", r)
	}
	for _, r := range " a分Ａ🎉" {
		assert.False(t, visible.Hidden(r), "%U", r)
	}
}

package scheme

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A value that is not UTF-8 cannot stand in JSON. Fuzzing found that it came as
// far as a panic, from the command line.
func TestOptionsAreUTF8(t *testing.T) {
	var text string
	var list []string
	for _, bad := range []string{"\xb4", "GBK \xd6\xd0", "\xed\xa0\x80"} {
		assert.ErrorContains(t, Text("access_id", &text).Set([]string{bad}), "access_id is not UTF-8")
		assert.ErrorContains(t, Enum("match", &text, "on", bad).Set([]string{bad}), "match is not UTF-8")
		assert.ErrorContains(t, List("encrypt", &list).Set([]string{"a", bad}), "encrypt is not UTF-8")
	}
	assert.Empty(t, text)
	assert.Empty(t, list)
	assert.NoError(t, Text("access_id", &text).Set([]string{"中😀"}))
}

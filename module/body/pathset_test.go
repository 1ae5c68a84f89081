package body

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A set of few paths and one of many have what was added, and nothing else.
func TestPathSet(t *testing.T) {
	var s PathSet
	assert.False(t, s.Has(Path{"a"}))
	for i := range 3 * few {
		s.Add(Path{"list", strconv.Itoa(i), "no"})
		assert.True(t, s.Has(Path{"list", "0", "no"}), i)
		assert.True(t, s.Has(Path{"list", strconv.Itoa(i), "no"}), i)
		for _, other := range []Path{{"list", strconv.Itoa(i + 1), "no"}, {"list", strconv.Itoa(i)}, {"list\x00" + strconv.Itoa(i), "no"}, {}} {
			assert.False(t, s.Has(other), other)
		}
		assert.Len(t, s.Paths(), i+1)
	}
}

package app

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAFailureThatGoesOnIsLoggedOnceAMinute(t *testing.T) {
	var r repeats
	now := time.Now()
	assert.True(t, r.admit("a", "no folder", now), "it begins")
	assert.False(t, r.admit("a", "no folder", now.Add(59*time.Second)))
	assert.True(t, r.admit("b", "no folder", now.Add(time.Second)), "another reference")
	assert.True(t, r.admit("a", "no folder", now.Add(time.Minute)), "it goes on")
	assert.False(t, r.admit("a", "no folder", now.Add(2*time.Minute-time.Second)))
	assert.True(t, r.admit("a", "no key in it", now.Add(2*time.Minute-time.Second)), "it changes")
	r.clear("a")
	assert.True(t, r.admit("a", "no key in it", now.Add(2*time.Minute)), "it comes back")

	for i := range 10 * maxRepeats { // as requests can
		r.admit(strconv.Itoa(i), "no folder", now)
	}
	assert.LessOrEqual(t, len(r.logged), maxRepeats)
}

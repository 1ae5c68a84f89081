package app

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAFailureThatGoesOnIsToldOnceAMinute(t *testing.T) {
	var r recital
	now := time.Now()
	assert.True(t, r.isNews("a", "no folder", now), "it begins")
	assert.False(t, r.isNews("a", "no folder", now.Add(59*time.Second)))
	assert.True(t, r.isNews("b", "no folder", now.Add(time.Second)), "another reference")
	assert.True(t, r.isNews("a", "no folder", now.Add(time.Minute)), "it goes on")
	assert.False(t, r.isNews("a", "no folder", now.Add(2*time.Minute-time.Second)))
	assert.True(t, r.isNews("a", "no key in it", now.Add(2*time.Minute-time.Second)), "it changes")
	r.over("a")
	assert.True(t, r.isNews("a", "no key in it", now.Add(2*time.Minute)), "it comes back")

	for i := range 10 * maxRecited { // as requests can
		r.isNews(strconv.Itoa(i), "no folder", now)
	}
	assert.LessOrEqual(t, len(r.told), maxRecited)
}

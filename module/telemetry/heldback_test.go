package telemetry

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLinesAlikeAreHeldBack(t *testing.T) {
	var h HeldBack
	now := time.Now()
	written := 0
	for range 1000 {
		if _, ok := h.Admit("keys_unavailable", now); ok {
			written++
		}
	}
	assert.Equal(t, alikeBurst, written)
	_, ok := h.Admit("overloaded", now)
	assert.True(t, ok, "another kind")
	field, ok := h.Admit("keys_unavailable", now.Add(alikePeriod))
	assert.True(t, ok)
	assert.EqualValues(t, 1000-alikeBurst, field.Integer, "how many were held back")
	for i := range 10 * maxDifferent {
		h.Admit(strconv.Itoa(i), now)
	}
	assert.LessOrEqual(t, len(h.alike), maxDifferent)
}

// A cause that changes is written, and what differs in each error is not a change.
func TestAlike(t *testing.T) {
	of := func(text string) string {
		return Alike("signing_failed", "the request could not be signed", errors.New(text))
	}
	assert.Equal(t, of(`source "a" has not answered for "shop/1"`), of(`source "a" has not answered for "shop/2"`))
	assert.Equal(t, of("read tcp 127.0.0.1:40312: reset"), of("read tcp 127.0.0.1:51234: reset"))
	assert.NotEqual(t, of("vault answers 403"), of("vault answers 500"))
	assert.NotEqual(t, of("vault answers 403"), Alike("signing_failed", "the request could not be signed", nil))
}

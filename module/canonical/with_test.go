package canonical

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
)

// What With adds stands in its place of the order, once, whatever the message has.
func TestSortedWithAPairOfItsOwn(t *testing.T) {
	for text, want := range map[string]string{
		`{"b":"2","z":"9","a":"1"}`:       "a=1&b=2&key=K&z=9",
		`{}`:                              "key=K",
		`{"zz":"1"}`:                      "key=K&zz=1",
		`{"key":"forged","a":"1"}`:        "a=1&key=K",
		`{"Key":"x","keys":"y"}`:          "Key=x&key=K&keys=y",
		`{"a":"1","b":"","empty":null}`:   "a=1&key=K",
		`{"a":"1","b":"2","sign":"ABCD"}`: "a=1&b=2&key=K",
	} {
		o, err := body.Parse([]byte(text))
		require.NoError(t, err)
		s := &Sorted{Except: []string{"sign"}, With: []With{{"key", "K"}}}
		made, err := s.Append(nil, o.Members())
		require.NoError(t, err, text)
		assert.Equal(t, want, string(made.Bytes), text)
		assert.NoError(t, made.Ambiguous(), text)
	}
}

// A value that reads like the pair that is added is one with two readings.
func TestSortedWithIsAmbiguousToo(t *testing.T) {
	o, err := body.Parse([]byte(`{"a":"1&key=K"}`))
	require.NoError(t, err)
	made, err := (&Sorted{With: []With{{"key", "K"}}}).Append(nil, o.Members())
	require.NoError(t, err)
	assert.Error(t, made.Ambiguous())
}

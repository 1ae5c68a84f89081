package canonical

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
)

// What the rules of the landscape need besides the common words.
func TestRareWords(t *testing.T) {
	const message = `{"b":"x y&","a":"1|2\\","C":"","n":{"z":"1","e":"","y":null,"l":[{"k":null,"a":1}]}}`
	type builder interface {
		Append([]byte, []body.Member) (Text, error)
		Check() error
	}
	for want, b := range map[string]builder{
		`b=x y&&a=1|2\`:            &Sorted{Order: "message", Nested: "skip"},
		`a=1|2\&b=x y&`:            &Sorted{Order: "only", Only: []string{"a", "b"}},
		`a=1%7C2%5C&b=x+y%26`:      &Sorted{Escape: "form", Nested: "skip"},
		`C=&a=1%7C2%5C&b=x%20y%26`: &Sorted{Escape: "rfc3986", Nested: "skip", Empty: "keep"},
		`A=1|2\&B=x y&`:            &Sorted{Order: "name-fold", UpperNames: true, Nested: "skip"},
		`1\|2\\|x y&|`:             &Values{Mode: "sorted", Order: "name-fold", Escape: true, Join: "|", Empty: "keep", Nested: "skip"},
		`4x y&-41|2\`:              &Values{Mode: "named", Names: []string{"b", "C", "a"}, Lengths: "-", Empty: "keep"},
		`{"C":"","a":"1|2\\","b":"x y&","n":{"e":"","l":[{"a":1}],"z":"1"}}`: &JSON{Mode: "deep", SkipNull: true},
		`{"a":"1|2\\","b":"x y&","n":{"l":[{"a":1}],"z":"1"}}`:               &JSON{Mode: "deep", SkipNull: true, SkipEmpty: true},
		`{"b":"x y&","a":"1|2\\"}`:                                           &JSON{Except: []string{"n"}, SkipEmpty: true},
	} {
		require.NoError(t, b.Check(), want)
		text, err := b.Append(nil, members(t, message))
		require.NoError(t, err, want)
		assert.Equal(t, want, string(text.Bytes))
	}
	_, err := (&Values{Mode: "named", ListedBy: "a", SecretName: "s", Secret: "k"}).Append(nil, members(t, `{"a":"b,a","b":"1"}`))
	require.ErrorIs(t, err, ErrNoList, "a list that leaves the secret out")
	text, err := (&Values{Mode: "named", ListedBy: "a", SecretName: "s", Secret: "k"}).Append(nil, members(t, `{"a":"b,s","b":"1","s":"theirs"}`))
	require.NoError(t, err)
	assert.Equal(t, "1k", string(text.Bytes))
	for _, b := range []builder{
		&Sorted{Order: "only"}, &Sorted{Order: "only", Only: []string{"a*"}}, &Sorted{Escape: "base64"},
		&Sorted{Escape: "form", Nested: "recurse"}, &Values{Escape: true}, &Values{Mode: "by-value", Order: "name-fold"},
		&Sorted{UpperNames: true}, &Values{Mode: "named", Names: []string{"a"}, SecretName: "s"}, &Values{Lengths: "-"}, &Values{Order: "piece-fold"},
	} {
		assert.Error(t, b.Check(), "%+v", b)
	}
}

func TestReplace(t *testing.T) {
	text, err := Replace(".,é", "·")([]byte("1,234.50é\xff"))
	require.NoError(t, err)
	assert.Equal(t, "1·234·50·\xff", string(text))
}

// The padding that MD5, SHA-1 and SHA-2 put behind a text begins with 80, and no
// character that is whole does.
func TestRefuseExtension(t *testing.T) {
	for text, refused := range map[string]bool{
		"": false, "abc": false, "金额": false, "金额\x80": true, "abc\x80\x00\x00": true, "abc\x00": true, "é\xc2\x80": false, "é\xc2": true,
	} {
		_, err := RefuseExtension([]byte(text))
		assert.Equal(t, refused, err != nil, "%q", text)
	}
}

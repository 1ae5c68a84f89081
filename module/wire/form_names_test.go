package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
)

// A form that would not be read is not written: PHP takes one of two names for the
// other, so that what is signed and what is read could differ.
func TestFormNames(t *testing.T) {
	for text, want := range map[string]error{
		`{"a.b":"1","a_b":"2"}`:    ErrDuplicate,
		`{"a":"1","a[]":"2"}`:      ErrDuplicate,
		`{"":"1"}`:                 ErrSyntax,
		`{"a b":"1"}`:              ErrSyntax,
		`{"a\n":"1"}`:              ErrSyntax,
		`{"a[x]":"1","a[y]":"2"}`:  nil,
		`{"a_b":"1","a[b":"2"}`:    ErrDuplicate,
		`{"a_b_c":"1","a[b[c":""}`: ErrDuplicate,
		`{"a":"1","a[b":""}`:       ErrDuplicate,
		`{"a[x]":"1","a[x][]":""}`: ErrDuplicate,
		`{"a[x][]":"1","a[x]":""}`: ErrDuplicate,
		`{"a[x]":"1","a[x]y":""}`:  ErrDuplicate,
		`{"a[x][y]":"1","a[x][z]":"2","a[]":"3","b[]":"4","a]":"5"}`: nil,
		`{"a":"1","A":"2"}`: nil,
	} {
		object, err := body.Parse([]byte(text))
		require.NoError(t, err)
		for _, raw := range []bool{false, true} {
			form, err := FormatForm(body.NewTree(object).Members(), Options{Raw: raw})
			assert.ErrorIs(t, err, want, text)
			_, err = ParseForm(form, Options{Raw: raw})
			assert.NoError(t, err, text)
		}
	}
}

// PHP 8.4 makes the first of these names of these fields.
func TestReadAs(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "a.b": "a_b", "a b": "a_b", "a[b": "a_b", "a[b[c": "a_b_c", " a_b": "a_b", "  a": "a", "a\x00x": "a", "a\x00[x]": "a",
		"a[]": "a", "a[b]": "a", "a.b[c.d]": "a_b", "a_b]": "a_b]", "[a]": "", "a[.b": "a__b", "a[x]y": "a",
	} {
		assert.Equal(t, want, ReadAs(name)[0], "%q", name)
	}
	assert.Equal(t, []string{"a_b", "a"}, ReadAs("a[b"))
}

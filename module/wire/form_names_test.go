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
		`{"a.b":"1","a_b":"2"}`:   ErrDuplicate,
		`{"a":"1","a[]":"2"}`:     ErrDuplicate,
		`{"":"1"}`:                ErrSyntax,
		`{"a b":"1"}`:             ErrSyntax,
		`{"a\n":"1"}`:             ErrSyntax,
		`{"a[x]":"1","a[y]":"2"}`: nil,
		`{"a":"1","A":"2"}`:       nil,
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

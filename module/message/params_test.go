package message

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// No parameter stands beside another one that some server reads as the same.
func TestParamsThatSomeServersReadAsOne(t *testing.T) {
	for query, want := range map[string]bool{
		"amount=1&id=2":           true,
		"a[x]=1&a[y]=2&b[]=3":     true,
		"data.id=1&type=payment":  true,
		"x=%3B":                   true,
		"amount=1&amount=1":       false,
		"amount=1&%61mount=":      false,
		"amount=1&amount%5B%5D=":  false,
		"a_b=1&a.b=":              false,
		"a_b=1&a%5Bb=":            false,
		"a=1&a%5Bb=":              false,
		"amount=1&%20amount=":     false,
		"amount=1&+amount=":       false,
		"amount=1&amount%00=":     false,
		"a[0]=1&a[0][]=":          false,
		"amount=1&x=2;amount=3":   false,
		"=1":                      false,
		"amount=1&x=%zz":          false,
		"amount=1&am%0Aount=":     false,
		"list[a]=1&list[a]y=2":    false,
		"amount=1&AMOUNT=&x&&y=1": true, // in other letters it is another one
	} {
		_, err := (&Message{Query: query}).Params()
		assert.Equal(t, want, err == nil, "%s: %v", query, err)
	}
}

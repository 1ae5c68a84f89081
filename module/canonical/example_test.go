package canonical_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
)

// Values that hold the name of another signed member make a text ambiguous.
func Example() {
	sorted := &canonical.Sorted{Except: []string{"sign"}}
	for _, message := range []string{
		`{"order":"1","amount":1.10,"note":"","sign":"00"}`,
		`{"order":"1&amount=9","amount":1.10}`,
	} {
		o, err := body.Parse([]byte(message))
		if err != nil {
			panic(err)
		}
		text, err := sorted.Append(nil, o.Members())
		fmt.Printf("%s %t %v\n", text.Bytes, text.Ambiguous() != nil, err)
	}
	// Output:
	// amount=1.10&order=1 false <nil>
	// amount=1.10&order=1&amount=9 true <nil>
}

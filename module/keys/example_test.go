package keys_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/keys"
)

// A source makes a set of what it holds, by role. Nothing prints a key.
func Example() {
	set, err := keys.Parse("acme/M1", "1", keys.Material{
		keys.SharedSecret:            {Text: []byte("s3cret"), Origin: "file secret"},
		keys.SharedSecret.With("iv"): {Text: []byte("0123456789abcdef"), Origin: "file secret@iv"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(set.Roles(), set.Secret)
	fmt.Println(set.Need(keys.Verify))
	// Output:
	// [secret secret@iv] secret 1ec1c26b
	// the key set lacks a role: "acme/M1" has no verify; add it to the source
}

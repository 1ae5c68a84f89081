package encoding_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/encoding"
)

// An encoding is found by the name that recipes call it.
func Example() {
	base64, err := encoding.Named("base64")
	if err != nil {
		panic(err)
	}
	text := base64.Encode([]byte("sign"))
	raw, err := base64.Decode([]byte(text))
	fmt.Println(text, string(raw), err)
	// Output: c2lnbg== sign <nil>
}

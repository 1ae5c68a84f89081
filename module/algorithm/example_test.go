package algorithm_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/algorithm"
)

// An algorithm is found by the name that recipes call it.
func Example() {
	hmac, err := algorithm.Named("hmac-sha256")
	if err != nil {
		panic(err)
	}
	text := []byte("The quick brown fox jumps over the lazy dog")
	sum := hmac.Sum([]byte("key"), text)
	fmt.Printf("%x\n", sum)
	fmt.Println(hmac.VerifySum([]byte("key"), text, sum), hmac.VerifySum([]byte("another"), text, sum))
	// Output:
	// f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8
	// true false
}

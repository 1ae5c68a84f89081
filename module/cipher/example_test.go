package cipher_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/cipher"
)

// A cipher is found by the name that recipes call it. What is not the key's opens
// with one and the same error for every cause.
func Example() {
	aes, err := cipher.Named("aes-128-cbc")
	if err != nil {
		panic(err)
	}
	key := []byte("0123456789abcdef")
	p := cipher.Params{IV: make([]byte, aes.IVSize())}
	ciphertext, err := aes.Encrypt(key, []byte("card number"), p)
	if err != nil {
		panic(err)
	}
	text, err := aes.Decrypt(key, ciphertext, p)
	fmt.Println(len(ciphertext), string(text), err)
	// Output: 16 card number <nil>
}

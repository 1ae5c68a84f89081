package body_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/body"
)

// Every byte of a body that is not edited stays as it came.
func Example() {
	o, err := body.Parse([]byte(`{"amount": 1.10, "order": {"id": 20881234567890123456}}`))
	if err != nil {
		panic(err)
	}
	tree := body.NewTree(o)
	id, _ := tree.Get(body.Path{"order", "id"})
	if err := tree.SetString(body.Path{"sign"}, "00"); err != nil {
		panic(err)
	}
	fmt.Printf("%s\n%s\n", id.Text(), tree.Text())
	// Output:
	// 20881234567890123456
	// {"amount": 1.10, "order": {"id": 20881234567890123456},"sign":"00"}
}

package wire_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/wire"
)

// What two readers could read in two ways is refused.
func Example() {
	text, err := wire.ParseXML([]byte("<xml><order>1</order><amount>1.10</amount></xml>"), wire.Options{})
	fmt.Println(string(text), err)
	_, err = wire.ParseXML([]byte("<xml><amount>1</amount><amount>2</amount></xml>"), wire.Options{})
	fmt.Println(err)
	// Output:
	// {"order":"1","amount":"1.10"} <nil>
	// field amount: a field occurs twice
}

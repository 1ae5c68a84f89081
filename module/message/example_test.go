package message_test

import (
	"fmt"

	"github.com/countersign/caddy-countersign/module/message"
)

// Whatever travels, the members of a message are those of a JSON object.
func Example() {
	m := message.New(message.Notification)
	m.Method, m.Wire = "POST", []byte("order=1&amount=1.10&note=%E4%B8%AD")
	if err := (message.Format{Kind: message.Form}).Read(m); err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", m.Payload.Text())
	// Output: {"order":"1","amount":"1.10","note":"中"}
}

package recipe_test

import (
	"fmt"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A recipe is compiled once. Seal then signs requests with it, and Open verifies
// what comes back.
func Example() {
	recipes, err := providers.Parse("acme.caddyfile", []byte(`
recipe acme {
	text members {
		sorted body except sign
		append "&key={secret}"
	}
	request {
		default body.version 1.0
		sign body.sign md5 hex-upper members
	}
	answer {
		verify body.sign md5 hex-upper members
		match body.order
	}
}`))
	if err != nil {
		panic(err)
	}
	acme, err := recipe.Compile("acme", recipes["acme"], nil)
	if err != nil {
		panic(err)
	}
	set, err := keys.Parse("acme/M1", "1", keys.Material{keys.SharedSecret: {Text: []byte("s3cret")}})
	if err != nil {
		panic(err)
	}
	request := message.New(message.Request)
	order, err := body.Parse([]byte(`{"order":"1","amount":1.10}`))
	if err != nil {
		panic(err)
	}
	request.SetPayload(order)
	sealed, err := scheme.Seal(acme, scheme.Request{Message: request, Keys: set, Now: time.Now()})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n%s\n%s\n", sealed.Canonical(), sealed.Redacted(), sealed.Message.Wire)

	answer := message.New(message.Answer)
	paid, err := body.Parse([]byte(`{"order":"1","paid":true,"sign":"00"}`))
	if err != nil {
		panic(err)
	}
	answer.SetPayload(paid)
	_, err = scheme.Open(acme, scheme.Incoming{Message: answer, Keys: set, Now: time.Now(), Request: sealed})
	fmt.Println(err)
	// Output:
	// amount=1.10&order=1&version=1.0
	// amount=1.10&order=1&version=1.0&key={secret}
	// {"order":"1","amount":1.10,"version":"1.0","sign":"76E121FF7645B1623BA4FB003F8D7762"}
	// the signature does not verify with any of the configured keys
}

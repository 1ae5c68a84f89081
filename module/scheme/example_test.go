package scheme_test

import (
	"fmt"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// acme signs the order number and nothing else.
type acme struct{}

func (acme) Describe() *scheme.Description {
	d := &scheme.Direction{Part: "order", Signed: func(path body.Path) bool { return path[0] == "order" }}
	return &scheme.Description{Name: "acme", Request: d, Answer: d, Match: []body.Path{{"order"}}}
}

func (a acme) Complete(request *scheme.Draft) error {
	signature, err := request.Sign(a.signature(request.Message))
	if err != nil {
		return err
	}
	request.Message.Header.Set("X-Sign", signature)
	request.Message.Wire = request.Message.Payload.Text()
	return nil
}

func (a acme) Covers(in *scheme.Incoming) ([]scheme.Signature, error) {
	s := a.signature(in.Message)
	s.Values = in.Message.Header.Values("X-Sign")
	return []scheme.Signature{s}, nil
}

func (acme) Reveal(*scheme.Incoming) error { return nil }

func (acme) signature(m *message.Message) scheme.Signature {
	hmac, _ := algorithm.Named("hmac-sha256")
	hex, _ := encoding.Named("hex")
	order, _ := m.Payload.Get(body.Path{"order"})
	return scheme.Signature{
		Algorithm: hmac, Encoding: hex, Where: "header.X-Sign",
		Text: scheme.Text{Canonical: append([]byte(m.Kind+" "), order.Raw()...)},
	}
}

// A Scheme says what is signed. Seal and Open sign and verify.
func Example() {
	set, err := keys.Parse("acme/M1", "1", keys.Material{keys.SharedSecret: {Text: []byte("s3cret")}})
	if err != nil {
		panic(err)
	}
	request := message.New(message.Request)
	o, err := body.Parse([]byte(`{"order":"1"}`))
	if err != nil {
		panic(err)
	}
	request.SetPayload(o)
	sealed, err := scheme.Seal(acme{}, scheme.Request{Message: request, Keys: set, Now: time.Now()})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %s…\n", sealed.Canonical(), sealed.Message.Header.Get("X-Sign")[:8])

	answer := message.New(message.Answer)
	answer.SetPayload(o)
	answer.Header.Set("X-Sign", sealed.Message.Header.Get("X-Sign"))
	_, err = scheme.Open(acme{}, scheme.Incoming{Message: answer, Keys: set, Now: time.Now(), Request: sealed})
	fmt.Println(err)
	// Output:
	// request "1" 9b6e28a0…
	// the signature does not verify with any of the configured keys
}

package schemes_test

import (
	"testing"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	oldscheme "github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	newscheme "github.com/countersign/caddy-countersign/module/scheme"
	"github.com/countersign/caddy-countersign/module/schemes/internal/schemetest"
)

func BenchmarkRecipe(b *testing.B) {
	for _, p := range providers {
		name := p.name
		if p.algorithm == rsa {
			name += "-rsa"
		}
		b.Run(name, func(b *testing.B) {
			s := schemetest.Configure(b, p.name, p.settings...)
			set := schemetest.Merchant(b, p.reference)
			pen := schemetest.Pen{Scheme: s, Algorithm: p.algorithm, Keys: schemetest.Provider(b, p.reference)}
			answer := []byte(pen.JSON(b, oldscheme.KindResponse, p.answer))
			request := []byte(p.request)
			c := protocol.Config{Name: p.name, Settings: recipe.Settings{}}
			for _, x := range p.settings {
				c.Settings[x[0]] = x[1:]
			}
			n, err := c.Load(nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				plain, err := body.Parse(request)
				if err != nil {
					b.Fatal(err)
				}
				m := message.New(message.Request)
				m.Method = "POST"
				m.SetPayload(plain)
				sealed, err := newscheme.Seal(n, newscheme.Request{Message: m, Keys: set, Now: time.Unix(1700000000, 0)})
				if err != nil {
					b.Fatal(err)
				}
				a := message.New(message.Answer)
				a.Wire = answer
				if err := n.Describe().Answer.Format.Read(a); err != nil {
					b.Fatal(err)
				}
				if _, err := newscheme.Open(n, newscheme.Incoming{Message: a, Keys: set, Request: sealed, Now: time.Now()}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

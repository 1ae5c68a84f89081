package schemes_test

import (
	"testing"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/schemes/internal/schemetest"
)

// BenchmarkExchange is what an exchange costs without its connections: sealing
// a sample request and opening an answer to it.
func BenchmarkExchange(b *testing.B) {
	for _, p := range providers {
		name := p.name
		if p.algorithm == rsa {
			name += "-rsa"
		}
		b.Run(name, func(b *testing.B) {
			s := schemetest.Configure(b, p.name, p.settings...)
			set := schemetest.Merchant(b, p.reference)
			pen := schemetest.Pen{Scheme: s, Algorithm: p.algorithm, Keys: schemetest.Provider(b, p.reference)}
			answer := []byte(pen.JSON(b, scheme.KindResponse, p.answer))
			request := []byte(p.request)
			b.ReportAllocs()
			for b.Loop() {
				plain, err := body.Parse(request)
				if err != nil {
					b.Fatal(err)
				}
				sealed, err := s.Seal(scheme.Request{Body: plain, Keys: set, Now: time.Unix(1700000000, 0)})
				if err != nil {
					b.Fatal(err)
				}
				back, err := body.Parse(answer)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Open(scheme.Answer{Body: back, Keys: set, Sealed: sealed}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

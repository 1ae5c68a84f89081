package providers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

// BenchmarkExchange is what an exchange costs without its connections: sealing
// a sample request and opening an answer to it.
func BenchmarkExchange(b *testing.B) { benchmarkExchange(b, "") }

// BenchmarkExchangeKiB is the same with bodies of about one KiB, most of it one value.
func BenchmarkExchangeKiB(b *testing.B) { benchmarkExchange(b, strings.Repeat("分账0", 100)) }

// benchmarkExchange seals and opens the samples, with a text in front of their free text.
func benchmarkExchange(b *testing.B, pad string) {
	pads := strings.NewReplacer(`:"remark`, `:"`+pad+"remark", `:\"remark`, `:\"`+pad+"remark", `"x&`, `"`+pad+"x&")
	for _, p := range five {
		name := p.name
		if p.algorithm.IsRSA() {
			name += "-rsa"
		}
		b.Run(name, func(b *testing.B) {
			s := providertest.Configure(b, p.name, p.settings...)
			set := providertest.Merchant(b, p.reference)
			signer := providertest.Signer{Scheme: s, Algorithm: p.algorithm, Keys: providertest.Provider(b, p.reference)}
			answer := []byte(signer.JSON(b, message.Answer, pads.Replace(p.answer)))
			request := []byte(pads.Replace(p.request))
			b.ReportAllocs()
			for b.Loop() {
				plain, err := body.Parse(request)
				if err != nil {
					b.Fatal(err)
				}
				sealed, err := s.Seal(providertest.Request{Body: plain, Keys: set, Now: time.Unix(1700000000, 0)})
				if err != nil {
					b.Fatal(err)
				}
				back, err := body.Parse(answer)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Open(providertest.Answer{Body: back, Keys: set, Sealed: sealed}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package providers_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Drafts and canonical strings are made in memory that is used again: exchanges
// of all schemes, at once and one after another, must not see each other's.
func TestExchangesAreKeptApart(t *testing.T) {
	var group sync.WaitGroup
	for n := range 4 {
		for _, p := range five {
			group.Go(func() {
				s := p.scheme(t)
				order := p.orderID()
				signer := providertest.Signer{Scheme: s, Algorithm: p.algorithm, Keys: providertest.Provider(t, p.reference)}
				for i := range 12 {
					id := fmt.Sprintf("%s-%d-%d-%s", order, n, i, strings.Repeat("x", rand.IntN(300)))
					of := func(text string) string { return strings.ReplaceAll(text, order, id) }
					request := providertest.Parse(t, of(p.request))
					sealed, err := s.Seal(providertest.Request{Body: request, Keys: p.merchant(t), Now: time.Now()})
					require.NoError(t, err)
					sent := bytes.Clone(sealed.Body)

					opened, err := s.Open(providertest.Answer{
						Body: providertest.Parse(t, signer.JSON(t, message.Answer, of(p.answer))), Keys: p.merchant(t), Sealed: sealed,
					})
					require.NoError(t, err)
					require.Contains(t, string(opened.Body), id)
					_, err = s.Open(providertest.Answer{
						Body: providertest.Parse(t, signer.JSON(t, message.Answer, strings.ReplaceAll(p.answer, order, id+"y"))), Keys: p.merchant(t), Sealed: sealed,
					})
					require.Equal(t, scheme.Mismatch, scheme.ReasonOf(err))

					require.Equal(t, string(sent), string(sealed.Body))
					require.Contains(t, string(sent), id)
					back := providertest.Parse(t, string(sent))
					text, err := s.Canonical(providertest.Wire{Kind: message.Request, Body: back})
					require.NoError(t, err)
					sig, ok := back.Text("sign")
					require.True(t, ok)
					err = p.algorithm.Verify(providertest.Provider(t, p.reference), text, sig)
					require.NoError(t, err)
				}
			})
		}
	}
	group.Wait()
}

// orderID returns the text that names the order in the request and in the answer.
func (p provider) orderID() string {
	return strings.Trim(p.order[strings.LastIndex(p.order, ":")+1:], `\"`)
}

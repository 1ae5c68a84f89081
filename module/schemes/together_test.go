package schemes_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/schemes/internal/schemetest"
)

// Drafts and canonical strings are made in memory that is used again: exchanges
// of all schemes, at once and one after another, must not see each other's.
func TestExchangesAreKeptApart(t *testing.T) {
	var group sync.WaitGroup
	for n := range 4 {
		for _, p := range providers {
			group.Go(func() {
				s := p.scheme(t)
				order := p.orderID()
				pen := schemetest.Pen{Scheme: s, Algorithm: p.algorithm, Keys: schemetest.Provider(t, p.reference)}
				for i := range 12 {
					id := fmt.Sprintf("%s-%d-%d-%s", order, n, i, strings.Repeat("x", rand.IntN(300)))
					of := func(text string) string { return strings.ReplaceAll(text, order, id) }
					request := schemetest.Parse(t, of(p.request))
					sealed, err := s.Seal(scheme.Request{Body: request, Keys: p.merchant(t), Now: time.Now()})
					require.NoError(t, err)
					sent := bytes.Clone(sealed.Body)
					sealed.Forget()
					sealed.Forget() // twice is once

					opened, err := s.Open(scheme.Answer{
						Body: schemetest.Parse(t, pen.JSON(t, scheme.KindResponse, of(p.answer))), Keys: p.merchant(t), Sealed: sealed,
					})
					require.NoError(t, err)
					opened.Forget()
					require.Contains(t, string(opened.Body), id)
					_, err = s.Open(scheme.Answer{
						Body: schemetest.Parse(t, pen.JSON(t, scheme.KindResponse, strings.ReplaceAll(p.answer, order, id+"y"))), Keys: p.merchant(t), Sealed: sealed,
					})
					require.Equal(t, scheme.Mismatch, scheme.ReasonOf(err))

					require.Equal(t, string(sent), string(sealed.Body))
					require.Contains(t, string(sent), id)
					back := schemetest.Parse(t, string(sent))
					text, err := s.(scheme.Canonicalizer).Canonical(scheme.Wire{Kind: scheme.KindRequest, Body: back})
					require.NoError(t, err)
					sig, err := scheme.SignatureOf(back, "sign")
					require.NoError(t, err)
					_, err = p.algorithm.Verify(schemetest.Provider(t, p.reference), text, sig)
					require.NoError(t, err)
				}
			})
		}
	}
	group.Wait()
}

// orderID is the text that names the order in the request and in the answer.
func (p provider) orderID() string {
	return strings.Trim(p.order[strings.LastIndex(p.order, ":")+1:], `\"`)
}

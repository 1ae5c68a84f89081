package providers_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// with gives a signed message another member, in front or behind, without
// changing the signature.
func with(t *testing.T, signed, name string, front bool) *body.Object {
	t.Helper()
	more := string(body.AppendQuote(nil, name)) + `:{"transAmt":"999999"}`
	if front {
		return providertest.Parse(t, "{"+more+","+signed[1:])
	}
	return providertest.Parse(t, strings.TrimSuffix(signed, "}")+","+more+"}")
}

// TestTheSignedPartInOtherLetters adds to a genuine message the part that is
// signed once more, in other letters: readers that ignore case would take what
// nobody has signed.
func TestTheSignedPartInOtherLetters(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		if p.part == "" {
			return // then all members are signed, in whatever letters
		}
		s := p.scheme(t)
		signed := p.sign(t, p.answer)
		for _, name := range []string{strings.ToUpper(p.part), strings.ToUpper(p.part[:1]) + p.part[1:], p.part[:1] + strings.ToUpper(p.part[1:])} {
			for _, front := range []bool{true, false} {
				_, err := s.Open(providertest.Answer{Body: with(t, signed, name, front), Keys: p.merchant(t)})
				assert.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), name)
				if p.isForm(t) {
					continue
				}
				n := p.signedNotification(t, p.notification)
				n.Body = with(t, string(n.Body.Source()), name, front)
				_, err = p.openNotification(t, n)
				assert.Contains(t, []scheme.Reason{scheme.Ambiguous, scheme.Invalid}, scheme.ReasonOf(err), name)
			}
		}
		_, err := s.Open(providertest.Answer{Body: with(t, signed, "another", true), Keys: p.merchant(t)})
		require.NoError(t, err, "a member that is not signed may be there")
	})
}

// TestTheTimeInOtherLetters is the same attack on hbsk's time, which is signed
// beside data.
func TestTheTimeInOtherLetters(t *testing.T) {
	for _, p := range five {
		if p.name != "hbsk" {
			continue
		}
		s := p.scheme(t)
		for _, name := range []string{"Time", "TIME"} {
			_, err := s.Open(providertest.Answer{Body: with(t, p.sign(t, p.answer), name, false), Keys: p.merchant(t)})
			assert.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), name)
			n := p.signedNotification(t, p.notification)
			n.Body = with(t, string(n.Body.Source()), name, true)
			_, err = p.openNotification(t, n)
			assert.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), name)
		}
	}
}

// TestBothPartsInOtherLetters is easypay's attack of the two parts, in letters
// that a reader who ignores case takes for either.
func TestBothPartsInOtherLetters(t *testing.T) {
	p := five[0]
	require.Equal(t, "easypay", p.name)
	genuine := p.signedNotification(t, p.notification)
	for _, name := range []string{"data", "Data", "DATA", "bizdata", "BizData", "BIZDATA"} {
		n := genuine
		n.Body = with(t, string(genuine.Body.Source()), name, false)
		_, err := p.openNotification(t, n)
		assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), name)
	}
}

// TestMembersThatDifferInCase are refused, also where both are signed: which of them
// counts depends on who reads.
func TestMembersThatDifferInCase(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		if p.name == "hbsk" {
			return // data is one string
		}
		answer := replace(t, p.answer, p.order, p.order+`,"AMOUNT":"1","Amount":"2"`)
		signed := p.sign(t, answer)
		_, err := p.open(t, signed)
		assert.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), "%v", err)
		for _, change := range [][2]string{
			{`"AMOUNT":"1"`, `"AMOUNT":"2"`}, {`"AMOUNT":"1","Amount":"2"`, `"AMOUNT":"2","Amount":"1"`}, {`,"AMOUNT":"1"`, ``}, {`"AMOUNT"`, `"AMoUNT"`},
		} {
			_, err := p.open(t, replace(t, signed, change[0], change[1]))
			// jeepay refuses two pieces that are equal but for case.
			assert.Contains(t, []scheme.Reason{scheme.BadSignature, scheme.Invalid}, scheme.ReasonOf(err), change[1])
		}
	})
}

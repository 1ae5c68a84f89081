package providers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func TestGenuineAnswer(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		answer := p.sign(t, p.answer)
		opened, err := p.open(t, answer)
		require.NoError(t, err)
		part := p.part
		if part == "" {
			part = "*"
		}
		assert.Equal(t, part, opened.Signed)
		assert.False(t, opened.Unsigned)
		assert.Len(t, opened.Fingerprints, 1)
		if p.name != "hbsk" { // whose data is given back as JSON
			assert.Equal(t, answer, string(opened.Body))
		}
	})
}

// leaf is a scalar somewhere in a message.
type leaf struct {
	path   string
	member body.Member
}

func leavesOf(o *body.Object) (out []leaf) {
	for _, m := range o.Members() {
		s := m.Stream()
		out = append(out, leaves(string(m.Name()), &s)...)
	}
	return out
}

func leaves(path string, s *body.Stream) (out []leaf) {
	switch s.Kind() {
	case body.Obj:
		for name := range s.Members() {
			out = append(out, leaves(path+"."+string(name), s)...)
		}
	case body.Array:
		for i := range s.Elements() {
			out = append(out, leaves(fmt.Sprint(path, ".", i), s)...)
		}
	default:
		out = append(out, leaf{path, s.Value()})
	}
	return out
}

// changed gives the value at a path of a message another one.
func changed(t *testing.T, o *body.Object, path, raw string) string {
	t.Helper()
	tree := body.NewTree(o)
	at, err := body.ParsePath(path)
	require.NoError(t, err)
	require.NoError(t, tree.Set(at, []byte(raw)))
	return string(tree.Text())
}

// tampered changes one scalar of a message.
func tampered(t *testing.T, o *body.Object, l leaf) string {
	t.Helper()
	raw := string(l.member.Raw())
	switch l.member.Kind() {
	case body.String:
		raw = raw[:len(raw)-1] + `1"`
	case body.Number:
		raw = "1" + raw
	case body.True:
		raw = "false"
	default:
		raw = `"1"`
	}
	return changed(t, o, l.path, raw)
}

// Every byte that the signature covers breaks it, and what it does not cover is
// known: it is the table in the documentation.
func TestTamperingWithEachMemberOfAnAnswer(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		o := providertest.Parse(t, p.sign(t, p.answer))
		unsigned := 0
		for _, l := range leavesOf(o) {
			if l.path == "sign" {
				continue
			}
			_, err := p.open(t, tampered(t, o, l))
			if slices.Contains(p.unsigned, l.path) {
				unsigned++
				assert.NoError(t, err, "%s is not signed", l.path)
			} else {
				assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s is signed", l.path)
			}
		}
		assert.Equal(t, len(p.unsigned), unsigned)
	})
}

func TestAddingAndTakingAwayMembers(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		signed := p.sign(t, p.answer)
		whole := providertest.Parse(t, signed)
		part, at := whole, ""
		if inner, ok := whole.Object(p.part); ok {
			part, at = inner, p.part+"."
		}
		if p.name != "hbsk" { // where data is a string
			_, err := p.open(t, changed(t, whole, at+"new", `"1"`))
			assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
		}
		for _, m := range part.Members() {
			if slices.Contains(p.unsigned, string(m.Name())) || string(m.Name()) == "sign" || !m.IsScalar() || m.IsEmpty() {
				continue
			}
			_, err := p.open(t, changed(t, whole, at+string(m.Name()), "null"))
			if string(m.Name()) == "time" {
				assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err))
				continue
			}
			assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "without %s", m.Name())
		}
	})
}

func TestTheSignatureOfAnAnswer(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		genuine := providertest.Text(t, providertest.Parse(t, p.sign(t, p.answer)), "sign")
		other := providertest.Text(t, providertest.Parse(t, p.sign(t, replace(t, p.answer, "remark", "another"))), "sign")
		for name, c := range map[string]struct {
			sign string // as JSON, or "" for none
			want scheme.Reason
		}{
			"genuine":            {`"` + genuine + `"`, 0},
			"none":               {"", scheme.Unsigned},
			"null":               {"null", scheme.Unsigned},
			"empty":              {`""`, scheme.Unsigned},
			"a number":           {"1", scheme.Invalid},
			"a boolean":          {"true", scheme.Invalid},
			"an object":          {`{"sign":"` + genuine + `"}`, scheme.Invalid},
			"a list":             {`["` + genuine + `"]`, scheme.Invalid},
			"of another message": {`"` + other + `"`, scheme.BadSignature},
			"cut off":            {`"` + genuine[:len(genuine)/2] + `"`, scheme.BadSignature},
			"with a space":       {`" ` + genuine + `"`, scheme.BadSignature},
			"twice":              {`"` + genuine + genuine + `"`, scheme.BadSignature},
			"white space":        {`" "`, scheme.BadSignature},
		} {
			answer := p.answer
			if c.sign != "" {
				answer = strings.TrimSuffix(p.answer, "}") + `,"sign":` + c.sign + "}"
			}
			_, err := p.open(t, answer)
			assert.Equal(t, c.want, scheme.ReasonOf(err), name)
			if err != nil {
				assert.NotContains(t, err.Error(), genuine)
				assert.NotContains(t, err.Error(), "remark", "an error never holds a value")
			}
		}
		if !p.algorithm.IsRSA() { // hexadecimal of either case
			_, err := p.open(t, providertest.WithSign(t, p.answer, strings.ToLower(genuine)))
			assert.NoError(t, err)
			_, err = p.open(t, providertest.WithSign(t, p.answer, strings.ToUpper(genuine)))
			assert.NoError(t, err)
		}
	})
}

func TestAnotherKey(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		// What the provider could not have signed with: the merchant's own key.
		stranger := providertest.Merchant(t, p.reference)
		if stranger.Secret != nil {
			stranger = providertest.Keys(t, map[keys.Role]string{keys.SharedSecret: "another"})
			stranger.Sign = providertest.Merchant(t, p.reference).Sign
		}
		signer := providertest.Signer{Scheme: p.scheme(t), Algorithm: p.algorithm, Keys: stranger}
		_, err := p.open(t, signer.JSON(t, message.Answer, p.answer))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	})
}

func TestAGenuineAnswerToAnotherOrder(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		other := p.sign(t, replace(t, p.answer, p.order, strings.ReplaceAll(p.order, "1", "2")))
		_, err := p.open(t, other)
		assert.Equal(t, scheme.Mismatch, scheme.ReasonOf(err))
		_, err = p.open(t, other, providertest.Setting{"match", "off"})
		assert.NoError(t, err)
		_, err = p.scheme(t).Open(providertest.Answer{Body: providertest.Parse(t, other), Keys: p.merchant(t)})
		assert.NoError(t, err, "on the command line the request is not known")
	})
}

func TestDuplicateMembers(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		for _, text := range []string{p.sign(t, p.answer), p.request} {
			o := providertest.Parse(t, text)
			for _, m := range o.Members() {
				raw := string(m.Raw())
				for _, name := range []string{string(m.Name()), fmt.Sprintf(`\u%04x`, m.Name()[0]) + string(m.Name()[1:])} {
					_, err := body.Parse([]byte(strings.TrimSuffix(text, "}") + `,"` + name + `":` + raw + "}"))
					assert.ErrorIs(t, err, body.ErrDuplicate, name)
				}
			}
		}
	})
}

func TestThePartThatIsSignedHasTheWrongType(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		if p.part == "" {
			return
		}
		signed := providertest.Parse(t, p.sign(t, p.answer))
		part, ok := signed.Get(p.part)
		require.True(t, ok)
		for _, value := range []string{"1", "true", "[]", "{}", `"{}"`, "null"} {
			if value[0] == byte(part.Kind()) {
				continue
			}
			_, err := p.open(t, changed(t, signed, p.part, value))
			want := scheme.Invalid
			if p.name == "hbsk" && value == "null" {
				want = scheme.BadSignature // data may be missing, and then another text was signed
			}
			assert.Equal(t, want, scheme.ReasonOf(err), value)
		}
	})
}

// ambiguous returns the reason for which a value that holds "&name=" of another signed
// member is refused. hbsk's message is not a sorted string: inside of the JSON in
// data such a text cannot be mistaken, and is let through.
func (p provider) ambiguous() scheme.Reason {
	if p.name == "hbsk" {
		return 0
	}
	return scheme.Ambiguous
}

// A value that holds "&name=" of another signed member can be read in two ways.
func TestAValueThatHoldsAnotherMember(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		inject := func(name string) string {
			return replace(t, p.answer, p.injectable, "x&"+name+"=9"+strings.TrimPrefix(p.injectable, "remark"))
		}
		_, err := p.open(t, p.sign(t, inject(p.signedMember)))
		assert.Equal(t, p.ambiguous(), scheme.ReasonOf(err))
		if err != nil {
			assert.NotContains(t, err.Error(), "x&")
		}
		_, err = p.open(t, p.sign(t, inject("noSuchMember")))
		assert.NoError(t, err, "a value may hold an address with a query")
		_, err = p.open(t, providertest.WithSign(t, inject(p.signedMember), "00"))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "the error says that it is forged")

		// The provider parses the request's JSON, not its string: the request
		// in the table holds such a value and is sealed.
		sealed := p.seal(t, p.scheme(t))
		assert.Contains(t, string(sealed.Canonical), "&")
	})
}

// With a shared secret both sides sign alike. Whoever stands between them, and
// has no key, could send the request back as an answer that names its order.
func TestARequestSentBack(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		var more []providertest.Setting
		if p.name == "hbsk" {
			more = append(more, providertest.Setting{"response_message", "data={data}&key={key}&time={time}"})
		}
		s := p.scheme(t, more...)
		p.request = strings.ReplaceAll(p.request, "x&", "x ")
		sealed := p.seal(t, s)
		back := string(sealed.Body)
		if p.name == "jeepay" {
			back = `{"code":0,"data":` + back + `,"sign":"` + providertest.Text(t, providertest.Parse(t, back), "sign") + `"}`
		}
		answer := providertest.Answer{Body: providertest.Parse(t, back), Keys: p.merchant(t), Sealed: sealed}
		_, err := s.Open(answer)
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	})
}

func TestKeysThatAreMissing(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		s := p.scheme(t)
		request := providertest.Request{Body: providertest.Parse(t, p.request), Keys: new(keys.Set), Now: time.Now()}
		_, err := s.Seal(request)
		assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err))
		_, err = s.Open(providertest.Answer{Body: providertest.Parse(t, p.sign(t, p.answer)), Keys: new(keys.Set)})
		assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err))
		n := p.signedNotification(t, p.notification)
		n.Keys = new(keys.Set)
		_, err = p.openNotification(t, n)
		assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err))
		assert.NoError(t, p.merchant(t).Need(s.Needs(request.Body)...), "and what it says it needs is all that it needs")
	})
}

func TestResultCode(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		want := map[string]string{"easypay": "000000", "jeepay": "0", "hbsk": "0", "hkrt": "10000", "hongwen": "20000"}
		assert.Equal(t, want[p.name], p.scheme(t).ResultCode(providertest.Parse(t, p.answer)))
		assert.Empty(t, p.scheme(t).ResultCode(providertest.Parse(t, `{}`)))
		assert.Empty(t, p.scheme(t).ResultCode(providertest.Parse(t, `{"sysRetCode":{},"code":[],"return_code":null}`)))
	})
}

func TestOptions(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		s := p.scheme(t)
		for _, o := range s.Options() {
			assert.Error(t, o.Check(nil), "%s without a value", o.Name)
			if !o.List {
				assert.Error(t, o.Check([]string{"a", "b"}), "%s with two", o.Name)
			}
			for _, value := range o.Values {
				assert.NoError(t, o.Check([]string{value}), "%s=%s", o.Name, value)
			}
			if len(o.Values) > 0 {
				assert.Error(t, o.Check([]string{"another"}), "%s=another", o.Name)
			}
		}
	})
}

// A value that is not UTF-8 cannot stand in JSON, and a terminal may speak GBK.
func TestOptionsAreUTF8(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		for _, o := range p.scheme(t).Options() {
			for _, bad := range []string{"\xb4", "GBK \xd6\xd0", "\xed\xa0\x80"} {
				assert.ErrorContains(t, o.Check([]string{bad}), "UTF-8", o.Name)
			}
		}
	})
}

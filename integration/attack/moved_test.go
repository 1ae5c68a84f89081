package attack

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// member is a member of a signed part.
type member struct{ name, value string }

// mail is a kind of message whose signed part is a flat list of members.
type mail struct {
	title     string
	scheme    providertest.Scheme
	held      *keys.Set
	algorithm providertest.Algorithm
	kind      message.Kind
	wrap      func(part, sign string) string // nil for a form
}

// mails returns the messages of all sorted schemes, answers and notifications.
func mails(t *testing.T) (out []mail) {
	flat := func(part, sign string) string {
		return part[:len(part)-1] + `,"sign":"` + sign + `"}`
	}
	in := func(name string) func(part, sign string) string {
		return func(part, sign string) string { return `{"` + name + `":` + part + `,"sign":"` + sign + `"}` }
	}
	answers := map[string]func(part, sign string) string{"easypay": in("bizData"), "jeepay": in("data"), "hkrt": flat, "hongwen": flat}
	notices := map[string]func(part, sign string) string{"easypay": in("bizData"), "hkrt": flat}
	for _, p := range parties {
		if p.name == "hbsk" {
			continue // a template: see TestATemplateInATemplate
		}
		s, held := p.scheme(t), p.held(t, "merchant")
		out = append(out,
			mail{p.title() + " answer", s, held, p.signs, message.Answer, answers[p.name]},
			mail{p.title() + " notification", s, held, p.notifies, message.Notification, notices[p.name]})
	}
	return out
}

// wire returns a message of these members.
func (m mail) wire(t *testing.T, members []member, sign string) providertest.Wire {
	t.Helper()
	if m.wrap == nil {
		w := providertest.Wire{Kind: m.kind}
		for _, one := range members {
			w.Form = append(w.Form, providertest.Param{Name: one.name, Value: one.value})
		}
		if sign != "" {
			w.Form = append(w.Form, providertest.Param{Name: "sign", Value: sign})
		}
		return w
	}
	var pieces []string
	for _, one := range members {
		name, err := json.Marshal(one.name)
		require.NoError(t, err)
		value, err := json.Marshal(one.value)
		require.NoError(t, err)
		pieces = append(pieces, string(name)+":"+string(value))
	}
	return providertest.Wire{Kind: m.kind, Body: parse(t, m.wrap("{"+strings.Join(pieces, ",")+"}", sign))}
}

func (m mail) open(w providertest.Wire) error {
	var err error
	if m.kind == message.Answer {
		_, err = m.scheme.Open(providertest.Answer{Body: w.Body, Keys: m.held})
	} else {
		_, err = m.scheme.OpenNotification(providertest.Notification{Body: w.Body, Form: w.Form, Keys: m.held})
	}
	return err
}

// readings returns all lists of members whose names and values, put one behind the
// other, give the text: each "&" may end a piece or stand in one, and each "="
// of a piece may be the one between name and value.
func readings(text string) (out [][]member) {
	if text == "" {
		return [][]member{nil}
	}
	for end := 1; end <= len(text); end++ {
		if end < len(text) && text[end] != '&' {
			continue
		}
		piece, rest := text[:end], strings.TrimPrefix(text[end:], "&")
		if end < len(text) && rest == "" {
			continue
		}
		for at := range len(piece) {
			if piece[at] != '=' {
				continue
			}
			for _, more := range readings(rest) {
				out = append(out, append([]member{{piece[:at], piece[at+1:]}}, more...))
			}
		}
	}
	return out
}

// TestMovedSignatures signs messages in which somebody chose a value, and moves
// the signature to every other message with the same canonical string. What is
// opened of them differs from what was signed in one way only, which the
// documentation names: members added out of a value's text, or merged into the
// value before them. A member that both have never gets another value.
func TestMovedSignatures(t *testing.T) {
	for _, m := range mails(t) {
		t.Run(m.title, func(t *testing.T) {
			provider := partyOf(m).held(t, "provider")
			genuine, refused, remain := 0, 0, 0
			for _, chosen := range []string{
				"y", "y&amount=2", "y&amount=2&zz=3", "y&new=2", "amount=2", "y=&amount=2", "&amount=2", "y&subject=z", "y&aa=2", "y&zz=9&amount=2", "a=b",
			} {
				signed := []member{{"aa", "b"}, {"amount", "1"}, {"subject", chosen}, {"zz", "3"}}
				text, err := m.scheme.Canonical(m.wire(t, signed, ""))
				require.NoError(t, err)
				sign, err := m.algorithm.Sign(provider, text)
				require.NoError(t, err)
				for _, moved := range readings(strings.TrimSuffix(string(text), "&")) {
					if twice(moved) {
						continue // refused as JSON, and as a form
					}
					w := m.wire(t, moved, sign)
					same, err := m.scheme.Canonical(w)
					if err != nil || string(same) != string(text) {
						continue
					}
					err = m.open(w)
					switch {
					case err != nil:
						require.Equal(t, scheme.Ambiguous, scheme.ReasonOf(err), "%v", err)
						refused++
					case slices.Equal(moved, signed):
						genuine++
					default:
						remain++
						same := false
						for _, one := range moved {
							was, ok := find(signed, one.name)
							assert.True(t, !ok || cut(was, one.value) || cut(one.value, was),
								"%s was signed as %q and reads %q: %v", one.name, was, one.value, moved)
							same = same || ok
						}
						assert.True(t, same)
					}
				}
			}
			assert.Positive(t, genuine)
			assert.Greater(t, refused, 100)
			assert.Positive(t, remain, "what cannot be told is there, and this test sees it")
		})
	}
}

// partyOf returns the party of a mail.
func partyOf(m mail) party {
	return parties[slices.IndexFunc(parties, func(p party) bool { return strings.HasPrefix(m.title, p.title()+" ") })]
}

func find(members []member, name string) (string, bool) {
	for _, m := range members {
		if m.name == name {
			return m.value, true
		}
	}
	return "", false
}

// cut reports whether short is what long has before an "&", or all of it.
func cut(long, short string) bool { return strings.HasPrefix(long+"&", short+"&") }

func twice(members []member) bool {
	seen := make(map[string]bool)
	for _, m := range members {
		if seen[m.name] {
			return true
		}
		seen[m.name] = true
	}
	return false
}

// TestATemplateInATemplate is TestMovedSignatures for hbsk, whose string is a
// template: what stands in data cannot become time, nor the other way round.
func TestATemplateInATemplate(t *testing.T) {
	p := parties[slices.IndexFunc(parties, func(p party) bool { return p.name == "hbsk" })]
	s := p.scheme(t)
	for _, c := range []struct{ data, time, movedData, movedTime string }{
		{`{"remark":"x&time=2"}`, "1", `{"remark":"x`, `2"}&time=1`},
		{`x&time=2`, "1", `x`, `2&time=1`},
		{`x`, `1&time=2`, `x&time=1`, "2"},
	} {
		quote := func(data, time string) []byte {
			return []byte(`{"data":` + string(body.AppendQuote(nil, data)) + `,"time":` + string(body.AppendQuote(nil, time)) + `}`)
		}
		text := "data=" + c.data + "&time=" + c.time
		sign, err := p.signs.Sign(p.held(t, "provider"), []byte(text))
		require.NoError(t, err)
		require.Equal(t, text, "data="+c.movedData+"&time="+c.movedTime)
		message := quote(c.movedData, c.movedTime)
		_, err = s.Open(providertest.Answer{Body: withSign(t, message, sign), Keys: p.held(t, "merchant")})
		assert.Contains(t, []scheme.Reason{scheme.Ambiguous, scheme.Invalid}, scheme.ReasonOf(err), "%s", message)
	}
}

// TestWhatASignatureCannotTell holds pairs of messages that sign alike by the
// provider's own rule and are both opened. The documentation of the recipes
// names these; a pair that is no longer opened, or one more, changes it.
func TestWhatASignatureCannotTell(t *testing.T) {
	for name, c := range map[string]struct{ scheme, signed, moved string }{
		"easypay: white space at the ends":        {"easypay", `{"bizData":{"transAmt":"100"}}`, `{"bizData":{"transAmt":" 100\n\u0000"}}`},
		"easypay: a number for a string":          {"easypay", `{"bizData":{"transAmt":"100"}}`, `{"bizData":{"transAmt":100}}`},
		"easypay: an object for its text":         {"easypay", `{"bizData":{"a":{"b":1}}}`, `{"bizData":{"a":"{\"b\":1}"}}`},
		"easypay: an empty member":                {"easypay", `{"bizData":{"a":"1"}}`, `{"bizData":{"a":"1","b":"","c":null}}`},
		"easypay: what stands beside bizData":     {"easypay", `{"sysRetCode":"000086","bizData":{"a":"1"}}`, `{"sysRetCode":"000000","bizData":{"a":"1"}}`},
		"easypay: another order":                  {"easypay", `{"bizData":{"a":"1","b":"2"}}`, `{"bizData":{"b":"2","a":"1"}}`},
		"jeepay: a boolean for a string":          {"jeepay", `{"code":0,"data":{"a":"true"}}`, `{"code":0,"data":{"a":true}}`},
		"jeepay: code and msg":                    {"jeepay", `{"code":0,"msg":"x","data":{"a":1}}`, `{"code":9,"msg":"y","data":{"a":1}}`},
		"jeepay: a list for its text":             {"jeepay", `{"code":0,"data":{"a":[1,2]}}`, `{"code":0,"data":{"a":"[1,2]"}}`},
		"hbsk: code and text":                     {"hbsk", `{"code":0,"text":"x","data":"{}","time":1}`, `{"code":9,"text":"y","data":"{}","time":"1"}`},
		"hkrt: an amount out of its list":         {"hkrt", `{"l":[{"a":"1"},{"m":"2"}]}`, `{"l":[{"a":"1"}],"m":"2"}`},
		"hkrt: an element for two":                {"hkrt", `{"l":[{"a":"1"},{"b":"2"}]}`, `{"l":[{"a":"1","b":"2"}]}`},
		"hkrt: a list for an object":              {"hkrt", `{"l":[{"a":"1"}]}`, `{"l":{"a":"1"}}`},
		"hkrt: a text for an object":              {"hkrt", `{"l":"a=1"}`, `{"l":{"a":"1"}}`},
		"hkrt: a sign within":                     {"hkrt", `{"l":[{"a":"1"}]}`, `{"l":[{"a":"1","sign":"x"}]}`},
		"hongwen: what stands in a list":          {"hongwen", `{"a":"1","divide_back_detail":[{"amount":"0.01"}]}`, `{"a":"1","divide_back_detail":[{"amount":"9.99"}]}`},
		"hongwen: a list more":                    {"hongwen", `{"a":"1"}`, `{"a":"1","divide_back_detail":[{"amount":"9.99"}]}`},
		"hongwen: a member out of a value's text": {"hongwen", `{"a":"1&b=2"}`, `{"a":"1","b":"2"}`},
		"hongwen: members merged":                 {"hongwen", `{"a":"1","b":"2"}`, `{"a":"1&b=2"}`},
	} {
		p := parties[slices.IndexFunc(parties, func(p party) bool { return p.name == c.scheme })]
		s, held := p.scheme(t), p.held(t, "merchant")
		sign, err := p.sign(t, p.signs, providertest.Wire{Kind: message.Answer, Body: parse(t, c.signed)})
		require.NoError(t, err, name)
		for _, message := range []string{c.signed, c.moved} {
			_, err = s.Open(providertest.Answer{Body: withSign(t, []byte(message), sign), Keys: held})
			assert.NoError(t, err, name)
		}
	}
}

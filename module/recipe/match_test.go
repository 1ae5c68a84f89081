package recipe

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// An order number that travels encrypted is compared once it is decrypted: in its
// place, in another member, and where the body is encrypted as a whole.
func TestMatchOfWhatIsDecrypted(t *testing.T) {
	set := shared("0123456789abcdef0123456789abcdef")
	encrypt := func(t *testing.T, text string) string { // as the peer does
		t.Helper()
		p := mustCompile(t, "request {\nencrypt aes-256-cbc base64 body.x {\niv zero\n}\nsign body.sign hmac-sha256 hex `{body}`\n}")
		sealed, err := p.seal(t, set, `{"x":`+string(body.AppendQuote(nil, text))+"}")
		require.NoError(t, err)
		m, _ := sealed.Message.Payload.Get(body.Path{"x"})
		return string(m.Text())
	}
	const head = "text all {\nsorted body except sign\n}\n"
	for name, test := range map[string]struct {
		recipe, payload, right, wrong string
	}{
		"in its place": {
			head + "request {\nencrypt aes-256-cbc base64 body.order {\niv zero\n}\nsign body.sign hmac-sha256 hex all\n}\nanswer {\nverify body.sign hmac-sha256 hex all\nmatch body.order\n}",
			`"paid":1,"order":"%"`, "1", "2",
		},
		"into another member": {
			head + "request {\nsign body.sign hmac-sha256 hex all\n}\nanswer {\nverify body.sign hmac-sha256 hex all\ndecrypt aes-256-cbc base64 body.cipher {\niv zero\ninto body.data\n}\nmatch body.data.order\n}",
			`"paid":1,"cipher":"%"`, `{"order":"1"}`, `{"order":"2"}`,
		},
		"into the body": {
			head + "request {\nsign body.sign hmac-sha256 hex all\n}\nanswer {\nverify body.sign hmac-sha256 hex all\ndecrypt aes-256-cbc base64 body.cipher {\niv zero\ninto body\n}\nmatch body.order\n}",
			`"paid":1,"cipher":"%"`, `{"order":"1"}`, `{"order":"2"}`,
		},
		"as JSON in a string": {
			head + "request {\nstring body.data\nsign body.sign hmac-sha256 hex all\n}\nanswer {\nverify body.sign hmac-sha256 hex all\ndecrypt aes-256-cbc base64 body.cipher {\niv zero\ninto body.data\n}\nmatch body.data.order\n}",
			`"paid":1,"cipher":"%"`, `{"order":"1","x":null}`, `{"order":"2","x":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, test.recipe)
			sealed, err := p.seal(t, set, `{"order":"1"}`)
			require.NoError(t, err)
			for plain, want := range map[string]scheme.Reason{test.right: 0, test.wrong: scheme.Mismatch} {
				members := ""
				for _, c := range test.payload {
					if c == '%' {
						members += encrypt(t, plain)
					} else {
						members += string(c)
					}
				}
				sum := p.sum(t, p.read(t, message.Answer, "{"+members+"}"), set)
				m := p.read(t, message.Answer, "{"+members+`,"sign":"`+sum+`"}`)
				_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime, Request: sealed})
				assert.Equal(t, want, scheme.ReasonOf(err), "%s: %v", plain, err)
			}
		})
	}
}

// Without a member that decides whose message it is a text may still hold it, in the
// value before it: what was signed as order=1 is refused where order is looked for.
func TestTheDecisiveMemberIsNotMovedIntoAnother(t *testing.T) {
	set := shared("0123456789abcdef0123456789abcdef")
	p := mustCompile(t, `text all {
		sorted body except sign
	}
	text capitals {
		sorted body except sign order name-fold names upper
	}
	request {
		sign body.sign hmac-sha256 hex all
	}
	answer {
		verify body.sign hmac-sha256 hex all
		match body.order
	}
	notification {
		verify body.sign hmac-sha256 hex capitals
		identity body.order
	}`)
	sealed, err := p.seal(t, set, `{"order":"1","note":"a&order=2"}`)
	require.NoError(t, err, "a request is the application's own")
	for text, want := range map[string]scheme.Reason{
		`{"note":"a","order":"1"}`:    0,
		`{"note":"a"}`:                0,
		`{"note":"a&other=1"}`:        0,
		`{"note":"a&order=1"}`:        scheme.Ambiguous,
		`{"note":"a&ORDER=1"}`:        0,
		`{"note":"a&x=1&order=1"}`:    scheme.Ambiguous,
		`{"note":"a","x":"&order=1"}`: scheme.Ambiguous,
	} {
		sum := p.sum(t, p.read(t, message.Answer, text), set)
		m := p.read(t, message.Answer, text[:len(text)-1]+`,"sign":"`+sum+`"}`)
		_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime, Request: sealed})
		assert.Equal(t, want, scheme.ReasonOf(err), "%s: %v", text, err)
	}
	for text, want := range map[string]scheme.Reason{
		`{"note":"a","order":"1"}`: 0,
		`{"note":"a&ORDER=1"}`:     scheme.Ambiguous,
	} {
		sum := p.sum(t, p.read(t, message.Notification, text), set)
		m := p.read(t, message.Notification, text[:len(text)-1]+`,"sign":"`+sum+`"}`)
		_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: testTime})
		assert.Equal(t, want, scheme.ReasonOf(err), "%s: %v", text, err)
	}
}

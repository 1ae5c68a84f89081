package scheme_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// guest is a Scheme that signs all members but sign with a shared secret. A test
// replaces a method with one that lies.
type guest struct {
	describe func() *scheme.Description
	complete func(*scheme.Draft) error
	covers   func(*scheme.Incoming) ([]scheme.Signature, error)
	reveal   func(*scheme.Incoming) error
}

func (g *guest) Describe() *scheme.Description      { return g.describe() }
func (g *guest) Complete(draft *scheme.Draft) error { return g.complete(draft) }
func (g *guest) Reveal(in *scheme.Incoming) error   { return g.reveal(in) }
func (g *guest) Covers(in *scheme.Incoming) ([]scheme.Signature, error) {
	return g.covers(in)
}

var now = time.Date(2026, 11, 26, 13, 14, 15, 0, time.UTC)

// honest returns a guest that keeps the rules.
func honest() *guest {
	direction := &scheme.Direction{Part: "*", Reads: []body.Path{{"sign"}}, Signed: func(path body.Path) bool { return path[0] != "sign" }}
	d := &scheme.Description{
		Name: "guest", Request: direction, Answer: direction, Notification: direction, Match: []body.Path{{"order"}},
	}
	return &guest{
		describe: func() *scheme.Description { return d },
		complete: func(draft *scheme.Draft) error {
			text, err := draft.Sign(signature(draft.Message))
			if err != nil {
				return err
			}
			if err := draft.Message.Payload.SetString(body.Path{"sign"}, text); err != nil {
				return err
			}
			draft.Message.Wire = draft.Message.Payload.Text()
			return nil
		},
		covers: func(in *scheme.Incoming) ([]scheme.Signature, error) {
			return []scheme.Signature{signature(in.Message)}, nil
		},
		reveal: func(*scheme.Incoming) error { return nil },
	}
}

func named(name string) algorithm.Algorithm {
	a, err := algorithm.Named(name)
	if err != nil {
		panic(err)
	}
	return a
}

// signature returns what the honest guest says of a message.
func signature(m *message.Message) scheme.Signature {
	hex, err := encoding.Named("hex")
	if err != nil {
		panic(err)
	}
	text, err := (&canonical.Sorted{Except: []string{"sign"}, Nested: "json"}).Append(nil, m.Payload.Members())
	if err != nil {
		panic(err)
	}
	s := scheme.Signature{
		Algorithm: named("hmac-sha256"), Encoding: hex, Where: "body.sign",
		Text: scheme.Text{Canonical: text.Bytes}, Ambiguous: text.Ambiguous(),
	}
	if sign, ok := m.Payload.Get(body.Path{"sign"}); ok {
		s.Values = []string{string(sign.Text())}
	}
	return s
}

func secret(text string) *keys.Set {
	s := keys.NewSecret([]byte(text), "a test")
	return &keys.Set{Reference: "test", Secret: s, VerifySecrets: []*keys.Secret{s}}
}

// read returns a message with a JSON body.
func read(t testing.TB, kind message.Kind, text string) *message.Message {
	t.Helper()
	m := message.New(kind)
	m.Method, m.Status, m.Wire = "POST", 200, []byte(text)
	require.NoError(t, message.Format{}.Read(m))
	return m
}

// signed returns a message that the peer has signed.
func signed(t testing.TB, kind message.Kind, set *keys.Set, members string) *message.Message {
	t.Helper()
	m := read(t, kind, "{"+members+"}")
	s := signature(m)
	sum := s.Algorithm.Sum(set.Secret.Bytes(), s.Text.Canonical)
	return read(t, kind, fmt.Sprintf(`{%s,"sign":"%s"}`, members, s.Encoding.Encode(sum)))
}

// request seals a request for the order 1.
func request(t testing.TB, set *keys.Set) *scheme.Sealed {
	t.Helper()
	sealed, err := scheme.Seal(honest(), scheme.Request{Message: read(t, message.Request, `{"order":"1","amount":"5"}`), Keys: set, Now: now})
	require.NoError(t, err)
	return sealed
}

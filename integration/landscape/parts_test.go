package main

import (
	"bytes"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// openParts opens a message of a recipe with split, which the recipe's own peer has
// made: the genuine messages of module/providers and texts.txt show that it is right.
func (x *exchanger) openParts(kind message.Kind) {
	t := x.t
	peer, err := x.program.Peer()
	require.NoError(t, err)
	made := func(fault recipe.Fault) *message.Message {
		payload, err := body.Parse([]byte(`{"amount":"100.00","note":"商品 a+b $5/6:7"}`))
		require.NoError(t, err)
		with := recipe.Sending{Keys: x.keys.provider, Now: x.now, Fault: fault}
		var m *message.Message
		if kind == message.Notification {
			to := message.New(kind)
			to.Method, to.Scheme, to.Host, to.Path = "POST", "https", "shop.example", "/notify"
			to.Header.Set("Content-Type", "application/json")
			m, err = peer.Notification(to, payload, with)
		} else {
			came := *x.sealed.Message
			received, failed := peer.Receive(&came, x.keys.provider, x.now)
			require.NoError(t, failed)
			m, err = peer.Answer(received, payload, with)
		}
		require.NoError(t, err)
		return m
	}
	open := func(m *message.Message) error {
		came := message.New(kind)
		came.Method, came.Scheme, came.Host, came.Path, came.Status = m.Method, m.Scheme, m.Host, m.Path, m.Status
		came.Header, came.Wire = m.Header.Clone(), bytes.Clone(m.Wire)
		if err := x.direction(kind).Format.Read(came); err != nil {
			return err
		}
		in := scheme.Incoming{Message: came, Keys: x.keys.merchant, Now: x.now}
		if kind == message.Answer {
			in.Request = x.sealed
		}
		_, err := scheme.Open(x.program, in)
		return err
	}
	require.NoError(t, open(made("")), "%s", kind)
	for _, fault := range []recipe.Fault{recipe.BadSignature, recipe.WrongKey, recipe.Tampered, recipe.Unsigned} {
		assert.Error(t, open(made(fault)), "%s, %s", kind, fault)
	}
	m := made("")
	if changed := bytes.Replace(m.Wire, []byte("100.00"), []byte("900.00"), 1); !bytes.Equal(changed, m.Wire) {
		m.Wire = changed
		assert.Error(t, open(m), "%s changed", kind)
	}
	for name, values := range made("").Header {
		if strings.EqualFold(name, "Content-Type") {
			continue
		}
		m := made("")
		m.Header[name] = append(values, values...)
		assert.Error(t, open(m), "%s with %s twice", kind, name)
	}
}

package scheme_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

type covers = func(*scheme.Incoming) ([]scheme.Signature, error)

// A Scheme that lies gets nothing past Open. What is opened is genuine unless the
// case says something else, so that each refusal is the lie's.
func TestAGuestThatLies(t *testing.T) {
	ours, theirs := secret("s3cret"), secret("of somebody else")
	genuine := signed(t, message.Answer, ours, `"order":"1","paid":true`)
	forged := signed(t, message.Answer, theirs, `"order":"1","paid":true`)
	another := signed(t, message.Answer, ours, `"order":"2","paid":true`)
	plain := read(t, message.Answer, `{"order":"1","paid":true,"sign":"00"}`)
	// after changes what the honest guest says of its signature.
	after := func(change func(in *scheme.Incoming, s *scheme.Signature)) func(*guest) {
		return func(g *guest) {
			g.covers = func(in *scheme.Incoming) ([]scheme.Signature, error) {
				s := signature(in.Message)
				change(in, &s)
				return []scheme.Signature{s}, nil
			}
		}
	}
	digest := func(with func(scheme.Secrets) (text, tail []byte, err error)) func(*guest) {
		return after(func(_ *scheme.Incoming, s *scheme.Signature) {
			s.Algorithm = named("md5")
			s.Text.With = with
			s.Values = []string{s.Encoding.Encode(s.Algorithm.Sum(nil, s.Text.Canonical))}
		})
	}
	for name, test := range map[string]struct {
		message *message.Message
		lie     func(*guest)
		want    scheme.Reason
	}{
		"no description": {genuine, func(g *guest) { g.describe = func() *scheme.Description { return nil } }, scheme.Invalid},
		"no rule for answers": {genuine, func(g *guest) {
			d := *g.describe()
			d.Answer = nil
			g.describe = func() *scheme.Description { return &d }
		}, scheme.Unsigned},
		"no signature at all": {genuine, func(g *guest) {
			g.covers = func(*scheme.Incoming) ([]scheme.Signature, error) { return nil, nil }
		}, scheme.Unsigned},
		"no algorithm": {genuine, after(func(_ *scheme.Incoming, s *scheme.Signature) {
			*s = scheme.Signature{Values: s.Values, Encoding: s.Encoding}
		}), scheme.Invalid},
		"no value":                {genuine, after(func(_ *scheme.Incoming, s *scheme.Signature) { s.Values = nil }), scheme.Unsigned},
		"values that are empty":   {genuine, after(func(_ *scheme.Incoming, s *scheme.Signature) { s.Values = []string{"", ""} }), scheme.Unsigned},
		"a digest of no secret":   {plain, digest(nil), scheme.Invalid},
		"a digest of another one": {plain, digest(func(scheme.Secrets) ([]byte, []byte, error) { return []byte("order=1&paid=true"), nil, nil }), scheme.Invalid},
		"a digest of no secret, cut by one": {plain, digest(func(secrets scheme.Secrets) ([]byte, []byte, error) {
			text := []byte("order=1&paid=true")
			cut := len(secrets("").Bytes()) % 13
			return text[:cut], text[cut:], nil
		}), scheme.Invalid},
		"a digest, a secret that it has brought": {plain, after(func(_ *scheme.Incoming, s *scheme.Signature) {
			s.Algorithm = named("sha256")
			s.Text.With = func(scheme.Secrets) ([]byte, []byte, error) { return s.Text.Canonical, []byte("theirs"), nil }
			s.Values = []string{s.Encoding.Encode(s.Algorithm.Sum(nil, append(s.Text.Canonical, "theirs"...)))}
		}), scheme.Invalid},
		"an empty key": {plain, after(func(_ *scheme.Incoming, s *scheme.Signature) {
			s.Derive = func([]byte) ([]byte, error) { return nil, nil }
			s.Values = []string{s.Encoding.Encode(s.Algorithm.Sum(nil, s.Text.Canonical))}
		}), scheme.NeedsKeys},
		"keys of its own":      {forged, after(func(in *scheme.Incoming, _ *scheme.Signature) { in.Keys = theirs }), scheme.BadSignature},
		"keys that it changes": {forged, after(func(in *scheme.Incoming, _ *scheme.Signature) { *in.Keys = *theirs }), scheme.BadSignature},
		"keys of another role": {forged, after(func(_ *scheme.Incoming, s *scheme.Signature) { s.Role, s.Algorithm = keys.Sign, named("rsa-sha256") }), scheme.Invalid},
		"a clock of its own": {genuine, after(func(in *scheme.Incoming, s *scheme.Signature) {
			in.Now = now.AddDate(-1, 0, 0)
			s.Fresh = &scheme.Freshness{Time: in.Now, Known: true, Window: time.Minute}
		}), scheme.Stale},
		"a time that is not known": {genuine, after(func(_ *scheme.Incoming, s *scheme.Signature) {
			s.Fresh = &scheme.Freshness{Time: now, Window: time.Hour}
		}), scheme.Stale},
		"a request that it forgets":  {another, after(func(in *scheme.Incoming, _ *scheme.Signature) { in.Request = nil }), scheme.Mismatch},
		"a request that it replaces": {another, after(func(in *scheme.Incoming, _ *scheme.Signature) { *in.Request = scheme.Sealed{} }), scheme.Mismatch},
		"a request that it edits": {another, after(func(in *scheme.Incoming, _ *scheme.Signature) {
			_ = in.Request.Message.Payload.SetString(body.Path{"order"}, "2")
		}), scheme.Mismatch},
		"an order that it replaces": {another, func(g *guest) {
			g.reveal = func(in *scheme.Incoming) error { return in.Message.Payload.SetString(body.Path{"order"}, "1") }
		}, scheme.Mismatch},
		"an order that it removes": {another, func(g *guest) {
			g.covers = func(in *scheme.Incoming) ([]scheme.Signature, error) {
				defer in.Message.Payload.Remove(body.Path{"order"})
				return []scheme.Signature{signature(in.Message)}, nil
			}
		}, scheme.Mismatch},
		"an order that it reveals": {genuine, func(g *guest) {
			g.reveal = func(in *scheme.Incoming) error { return in.Message.Payload.SetString(body.Path{"order"}, "2") }
		}, scheme.Mismatch},
		"a text that it finds fine": {forged, after(func(in *scheme.Incoming, _ *scheme.Signature) {
			in.Charset = func([]byte) []byte { return []byte("order=1&paid=true") }
		}), scheme.BadSignature},
		"a message revealed too early": {forged, after(func(in *scheme.Incoming, _ *scheme.Signature) {
			_ = in.Message.Payload.Set(body.Path{"paid"}, []byte("true"))
		}), scheme.BadSignature},
		"no message": {genuine, func(g *guest) {
			g.reveal = func(in *scheme.Incoming) error { in.Message = nil; return nil }
		}, scheme.Invalid},
		"an error of its own": {genuine, func(g *guest) {
			g.reveal = func(*scheme.Incoming) error { return scheme.DecryptionFailed() }
		}, scheme.Decryption},
	} {
		t.Run(name, func(t *testing.T) {
			g := honest()
			in := scheme.Incoming{Message: test.message.Fresh(), Keys: secret("s3cret"), Now: now, Request: request(t, ours)}
			test.lie(g)
			v, err := scheme.Open(g, in)
			assert.Nil(t, v)
			require.Error(t, err)
			assert.Equal(t, test.want, scheme.ReasonOf(err), err)
			assert.Equal(t, "s3cret", string(in.Keys.Secret.Bytes()), "the caller's keys are not changed")
		})
	}
	g := honest()
	v, err := scheme.Open(g, scheme.Incoming{Message: genuine, Keys: ours, Now: now, Request: request(t, ours)})
	require.NoError(t, err)
	assert.Equal(t, string(genuine.Wire), string(v.Body()))
}

// A Scheme that panics is one that refuses, and its panic tells no value.
func TestAGuestThatPanics(t *testing.T) {
	ours := secret("s3cret")
	for name, lie := range map[string]func(*guest){
		"describe": func(g *guest) { g.describe = func() *scheme.Description { panic("VALUE") } },
		"covers": func(g *guest) {
			g.covers = func(*scheme.Incoming) ([]scheme.Signature, error) { panic("VALUE") }
		},
		"reveal":   func(g *guest) { g.reveal = func(*scheme.Incoming) error { panic(errors.New("VALUE")) } },
		"a bug":    func(g *guest) { g.reveal = func(in *scheme.Incoming) error { in.Message.Wire[1<<20]++; return nil } },
		"complete": func(g *guest) { g.complete = func(*scheme.Draft) error { panic("VALUE") } },
	} {
		t.Run(name, func(t *testing.T) {
			g := honest()
			lie(g)
			var v *scheme.Verified
			var err error
			if name == "complete" {
				var sealed *scheme.Sealed
				sealed, err = scheme.Seal(g, scheme.Request{Message: read(t, message.Request, `{}`), Keys: ours, Now: now})
				assert.Nil(t, sealed)
			} else {
				v, err = scheme.Open(g, scheme.Incoming{Message: signed(t, message.Answer, ours, `"a":1`), Keys: ours, Now: now})
			}
			assert.Nil(t, v)
			e, ok := errors.AsType[*scheme.Error](err)
			require.True(t, ok)
			assert.NotContains(t, e.Detail.String()+e.Cause.Error(), "VALUE")
			assert.Contains(t, e.Cause.Error(), "guest_test.go", "the cause has the stack")
		})
	}
}

// Of the message that a Scheme hands back only the payload is taken.
func TestWhatAGuestReveals(t *testing.T) {
	ours := secret("s3cret")
	genuine := signed(t, message.Notification, ours, `"paid":true`)
	genuine.Header.Set("X-Came", "1")
	g := honest()
	g.reveal = func(in *scheme.Incoming) error {
		other := read(t, message.Request, `{"paid":false}`)
		other.Path, other.Query, other.Status = "/other", "a=1", 500
		other.Header.Set("X-Came", "2")
		in.Message.Header.Set("X-Came", "3")
		in.Message = other
		return nil
	}
	v, err := scheme.Open(g, scheme.Incoming{Message: genuine, Keys: ours, Now: now})
	require.NoError(t, err)
	assert.Equal(t, string(genuine.Wire), string(v.Wire()))
	m := v.Message()
	assert.Equal(t, message.Notification, m.Kind)
	assert.Equal(t, "1", m.Header.Get("X-Came"))
	assert.Equal(t, "1", genuine.Header.Get("X-Came"))
	assert.Empty(t, m.Path+m.Query)
	assert.Equal(t, 200, m.Status)
	assert.Equal(t, `{"paid":false}`, string(v.Body()), "what is revealed is the Scheme's to say")
}

// Seal signs with its caller's keys, and lets nothing leave without a signature.
func TestASealThatLies(t *testing.T) {
	ours := secret("s3cret")
	for name, complete := range map[string]func(*scheme.Draft) error{
		"no signature": func(*scheme.Draft) error { return nil },
		"no message": func(d *scheme.Draft) error {
			_, err := d.Sign(signature(d.Message))
			d.Message = nil
			return err
		},
		"a digest of no secret": func(d *scheme.Draft) error {
			s := signature(d.Message)
			s.Algorithm = named("md5")
			_, err := d.Sign(s)
			return err
		},
	} {
		g := honest()
		g.complete = complete
		sealed, err := scheme.Seal(g, scheme.Request{Message: read(t, message.Request, `{"a":1}`), Keys: ours, Now: now})
		assert.Nil(t, sealed, name)
		require.Error(t, err, name)
	}
	g := honest()
	complete := g.complete
	g.complete = func(d *scheme.Draft) error {
		d.Keys = secret("of somebody else")
		return complete(d)
	}
	sealed, err := scheme.Seal(g, scheme.Request{Message: read(t, message.Request, `{"order":"1","amount":"5"}`), Keys: ours, Now: now})
	require.NoError(t, err)
	assert.Equal(t, string(request(t, ours).Message.Wire), string(sealed.Message.Wire))
}

// An empty secret is none, wherever a source has it from.
func TestAnEmptySecret(t *testing.T) {
	_, err := scheme.Seal(honest(), scheme.Request{Message: read(t, message.Request, `{"a":1}`), Keys: secret(""), Now: now})
	assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err), err)
	_, err = scheme.Open(honest(), scheme.Incoming{Message: signed(t, message.Answer, secret(""), `"a":1`), Keys: secret(""), Now: now})
	assert.Equal(t, scheme.NeedsKeys, scheme.ReasonOf(err), err)
}

package providers_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// exchange is both sides of a recipe.
type exchange struct {
	program            *recipe.Program
	peer               *recipe.Peer
	merchant, provider *keys.Set
	now                time.Time
}

func newExchange(t *testing.T, name string) *exchange {
	t.Helper()
	r, ok := providers.Find(name)
	require.True(t, ok)
	p, err := recipe.Compile(name, r, nil)
	require.NoError(t, err)
	peer, err := p.Peer()
	require.NoError(t, err)
	e := &exchange{program: p, peer: peer, now: time.Now()}
	e.merchant, e.provider = providertest.NewSides(t, p).Sets(t)
	return e
}

// seal seals the sample of a request.
func (e *exchange) seal(t *testing.T) *scheme.Sealed {
	t.Helper()
	return e.sealThis(t, e.peer.Sample())
}

func (e *exchange) sealThis(t *testing.T, payload *body.Object) *scheme.Sealed {
	t.Helper()
	m := message.New(message.Request)
	m.Method, m.Scheme, m.Host, m.Path, m.Query = "POST", "http", "127.0.0.1:9090", "/pay/order", "a=b"
	m.SetPayload(payload)
	sealed, err := scheme.Seal(e.program, scheme.Request{Message: m, Keys: e.merchant, Now: e.now})
	require.NoError(t, err)
	return sealed
}

// open opens an answer or a notification.
func (e *exchange) open(m *message.Message, request *scheme.Sealed) (*scheme.Verified, error) {
	direction := e.program.Describe().Answer
	if m.Kind == message.Notification {
		direction = e.program.Describe().Notification
	}
	if direction != nil {
		if err := direction.Format.Read(m); err != nil {
			return nil, err
		}
	}
	return scheme.Open(e.program, scheme.Incoming{Message: m, Keys: e.merchant, Now: e.now, Request: request})
}

var faults = []recipe.Fault{recipe.BadSignature, recipe.WrongKey, recipe.Tampered, recipe.Unsigned}

// What a merchant seals under a recipe that ships the peer of the recipe opens, and
// what the peer sends verifies; with each fault it does not.
func TestPeers(t *testing.T) {
	for _, name := range providers.Names() {
		t.Run(name, func(t *testing.T) {
			e := newExchange(t, name)
			d := e.program.Describe()
			var received *recipe.Received
			if d.Request != nil {
				sealed := e.seal(t)
				var err error
				received, err = e.peer.Receive(sealed.Message, e.provider, e.now)
				require.NoError(t, err, "%s %v", sealed.Message.Wire, sealed.Message.Header)
				e.answers(t, sealed, received)
			}
			if d.Notification != nil {
				e.notifications(t, received)
			}
		})
	}
}

func (e *exchange) answers(t *testing.T, sealed *scheme.Sealed, received *recipe.Received) {
	t.Helper()
	payload := e.peer.Default(message.Answer, received, nil)
	answer := func(fault recipe.Fault) (*scheme.Verified, error) {
		m, err := e.peer.Answer(received, payload, recipe.Sending{Keys: e.provider, Now: e.now, Fault: fault})
		require.NoError(t, err)
		return e.open(m, sealed)
	}
	v, err := answer("")
	if e.program.Describe().Answer == nil {
		assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err))
		return
	}
	require.NoError(t, err)
	assert.False(t, v.IsUnsigned())
	assert.Contains(t, string(v.Body()), recipe.Marker)
	for _, fault := range faults {
		_, err := answer(fault)
		want := scheme.BadSignature
		if fault == recipe.Unsigned {
			want = scheme.Unsigned
		}
		assert.Equal(t, want, scheme.ReasonOf(err), "%s: %v", fault, err)
	}
	_, err = answer(recipe.Mismatch)
	if len(e.program.Describe().Match) > 0 {
		assert.Equal(t, scheme.Mismatch, scheme.ReasonOf(err), "%v", err)
	} else {
		assert.NoError(t, err)
	}
	// A refusal is signed as well.
	m, err := e.peer.Answer(received, e.peer.Default(message.Answer, received, scheme.Failf(scheme.BadSignature, "no")), recipe.Sending{Keys: e.provider, Now: e.now})
	require.NoError(t, err)
	v, err = e.open(m, sealed)
	require.NoError(t, err)
	assert.Contains(t, string(v.Body()), `"message":"no"`)
}

func (e *exchange) notifications(t *testing.T, received *recipe.Received) {
	t.Helper()
	to := message.New(message.Notification)
	to.Method, to.Scheme, to.Host, to.Path = "POST", "http", "127.0.0.1:8080", "/notify"
	payload := e.peer.Default(message.Notification, received, nil)
	send := func(fault recipe.Fault) (*scheme.Verified, error) {
		m, err := e.peer.Notification(to, payload, recipe.Sending{Keys: e.provider, Now: e.now, Fault: fault})
		require.NoError(t, err)
		return e.open(m, nil)
	}
	_, err := send("")
	require.NoError(t, err)
	for _, fault := range faults {
		_, err := send(fault)
		want := scheme.BadSignature
		if fault == recipe.Unsigned {
			want = scheme.Unsigned
		}
		assert.Equal(t, want, scheme.ReasonOf(err), "%s: %v", fault, err)
	}
}

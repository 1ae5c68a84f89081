package providers_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/recipe/attack"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// TestAttackTable changes, for every recipe that ships, every part of a request, an
// answer and a notification. Each change to what the recipe says is signed is
// refused. Each other change is not refused for its signature: what a recipe does
// not name is really not covered, and Countersign-Signed does not name it.
func TestAttackTable(t *testing.T) {
	for _, name := range providers.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newExchange(t, name)
			d := e.program.Describe()
			if d.Request != nil {
				e.attackRequest(t)
			}
			if d.Answer != nil {
				e.attackAnswer(t)
			}
			if d.Notification != nil {
				e.attackNotification(t)
			}
		})
	}
}

// table runs the cases of a genuine message.
func (e *exchange) table(t *testing.T, m, other *message.Message, open func(m *message.Message) (*scheme.Verified, error)) {
	t.Helper()
	_, err := open(m.Fresh())
	require.NoError(t, err, "%s as it is", m.Kind)
	if other != nil {
		first, _ := open(m.Fresh())
		second, _ := open(other.Fresh())
		if first != nil && second != nil && bytes.Equal(first.Canonical(), second.Canonical()) {
			other = nil // what is signed is the same
		}
	}
	cases := attack.Cases(e.program, m, other)
	refused, accepted := 0, 0
	for _, c := range cases {
		v, err := open(c.Message)
		switch {
		case c.Refused:
			refused++
			assert.Error(t, err, "%s: %s: %s", m.Kind, c.Name, c.Message.Wire)
		case err != nil:
			assert.NotContains(t, []scheme.Reason{scheme.BadSignature, scheme.Unsigned}, scheme.ReasonOf(err), "%s: %s is not said to be signed: %v", m.Kind, c.Name, err)
		default:
			accepted++
			if v != nil && c.Path != nil && v.Part() != "*" {
				for part := range strings.SplitSeq(v.Part(), ",") {
					path, err := body.ParsePath(part)
					require.NoError(t, err)
					assert.False(t, path.Covers(c.Path), "%s: Countersign-Signed names %s, and %s was accepted", m.Kind, part, c.Name)
				}
			}
		}
	}
	assert.Greater(t, refused, 5, "%s", m.Kind)
	assert.Positive(t, accepted, "%s: the header that nobody signs", m.Kind)
}

func (e *exchange) attackRequest(t *testing.T) {
	e.table(t, e.seal(t).Message, e.sealOther(t).Message, func(m *message.Message) (*scheme.Verified, error) {
		m.Payload, m.Form, m.Inner = nil, nil, nil
		_, err := e.peer.Receive(m, e.provider, e.now)
		return nil, err
	})
}

// sealOther seals a request in which every value is another one.
func (e *exchange) sealOther(t *testing.T) *scheme.Sealed {
	t.Helper()
	text := strings.NewReplacer(`"100"`, `"200"`, "it is a test", "it was a test", `"T1"`, `"T2"`, `"one"`, `"six"`).Replace(string(e.peer.Sample().Source()))
	o, err := body.Parse([]byte(text))
	require.NoError(t, err)
	return e.sealThis(t, o)
}

// answerOf returns the peer's answer to a request, of another recipe's peer where peer is
// one.
func (e *exchange) answerOf(t *testing.T, sealed *scheme.Sealed, peer *recipe.Peer) *message.Message {
	t.Helper()
	received, err := e.peer.Receive(sealed.Message, e.provider, e.now)
	require.NoError(t, err)
	m, err := peer.Answer(received, e.peer.Default(message.Answer, received, nil), recipe.Sending{Keys: e.provider, Now: e.now})
	require.NoError(t, err)
	return m
}

func (e *exchange) attackAnswer(t *testing.T) {
	sealed := e.seal(t)
	open := func(m *message.Message) (*scheme.Verified, error) { return e.open(m, sealed) }
	genuine := e.answerOf(t, sealed, e.peer)
	e.table(t, genuine, e.answerOf(t, e.sealOther(t), e.peer), open)

	reflected := sealed.Message.Fresh()
	reflected.Kind, reflected.Status = message.Answer, 200
	_, err := open(reflected)
	assert.Error(t, err, "the request sent back")

	if peer := e.weaker(t); peer != nil {
		_, err := open(e.answerOf(t, sealed, peer))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "an answer signed with another digest: %v", err)
	}
}

// notificationOf returns a notification of the peer with these members.
func (e *exchange) notificationOf(t *testing.T, peer *recipe.Peer, id string) *message.Message {
	t.Helper()
	to := message.New(message.Notification)
	to.Method, to.Scheme, to.Host, to.Path = "POST", "http", "127.0.0.1:8080", "/notify"
	tree := body.NewTree(e.peer.Default(message.Notification, nil, nil))
	for _, m := range tree.Members() {
		if !m.IsScalar() && tree.At(body.Path{string(m.Name())}) != nil && !tree.At(body.Path{string(m.Name())}).IsList() {
			require.NoError(t, tree.SetString(body.Path{string(m.Name()), "order_id"}, id))
		}
	}
	require.NoError(t, tree.SetString(body.Path{"order_id"}, id))
	payload, err := body.Parse(tree.Text())
	require.NoError(t, err)
	m, err := peer.Notification(to, payload, recipe.Sending{Keys: e.provider, Now: e.now})
	require.NoError(t, err)
	return m
}

func (e *exchange) attackNotification(t *testing.T) {
	open := func(m *message.Message) (*scheme.Verified, error) { return e.open(m, nil) }
	genuine, other := e.notificationOf(t, e.peer, "T1"), e.notificationOf(t, e.peer, "T2")
	if e.program.Signed(message.Notification).Bytes || len(genuine.Query) == 0 {
		e.table(t, genuine, other, open)
	} else {
		e.table(t, genuine, nil, open)
	}
	if peer := e.weaker(t); peer != nil {
		_, err := open(e.notificationOf(t, peer, "T1"))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "a notification signed with another digest: %v", err)
	}
}

// otherDigest is, for an algorithm, one of the same kind with another digest.
var otherDigest = map[string]string{
	"rsa-sha256": "rsa-sha1", "rsa-sha1": "rsa-md5", "rsa-md5": "rsa-sha1", "hmac-sha256": "hmac-md5", "hmac-sha512": "hmac-sha1",
	"sha256": "md5", "sha1": "md5", "md5": "sha1", "sm2": "sm2-rs",
}

// weaker returns the peer of the same recipe with another digest in its signatures. The
// values of options stay what they are, so that one may have no such peer.
func (e *exchange) weaker(t *testing.T) *recipe.Peer {
	t.Helper()
	r, _ := providers.Find(e.program.Describe().Name)
	changed := 0
	r.Lines = edit(r.Lines, func(words []string) []string {
		if len(words) > 3 && words[0] == "verify" && otherDigest[words[2]] != "" {
			changed++
			words = slices.Clone(words)
			words[2] = otherDigest[words[2]]
		}
		return words
	})
	p, err := recipe.Compile(e.program.Describe().Name, r, nil)
	if err != nil || changed == 0 {
		return nil
	}
	peer, err := p.Peer()
	require.NoError(t, err)
	return peer
}

// edit returns a copy of lines with other words.
func edit(lines []recipe.Line, change func(words []string) []string) []recipe.Line {
	out := slices.Clone(lines)
	for i := range out {
		out[i].Words = change(out[i].Words)
		out[i].Block = edit(out[i].Block, change)
	}
	return out
}

// TestEveryOrderOfLines shuffles the lines of every recipe that ships. The recipe is
// refused when it is loaded, or it refuses every message that is not genuine, and
// opens genuine ones to what they hold or not at all.
func TestEveryOrderOfLines(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // an order of lines
	compiled := 0
	for _, name := range providers.Names() {
		e := newExchange(t, name)
		r, _ := providers.Find(name)
		for range 3 {
			shuffled := r
			shuffled.Lines = shuffle(r.Lines, random)
			p, err := recipe.Compile(name, shuffled, nil)
			if err != nil {
				continue
			}
			compiled++
			e.another(t, p)
		}
	}
	assert.Greater(t, compiled, 20, "some orders are as good as the first")
}

// shuffle returns a copy of lines in another order, those of blocks too. The lines of a
// text are its steps, which stand in their order.
func shuffle(lines []recipe.Line, random *rand.Rand) []recipe.Line {
	out := slices.Clone(lines)
	random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range out {
		if out[i].Words[0] != "text" {
			out[i].Block = shuffle(out[i].Block, random)
		}
	}
	return out
}

// another has a program whose lines stand otherwise open what the peer sends, and
// seal a request for it.
func (e *exchange) another(t *testing.T, p *recipe.Program) {
	t.Helper()
	other := &exchange{program: p, peer: e.peer, merchant: e.merchant, provider: e.provider, now: e.now}
	name := p.Describe().Name
	if p.Describe().Request != nil {
		m := message.New(message.Request)
		m.Method, m.Scheme, m.Host, m.Path = "POST", "http", "127.0.0.1:9090", "/pay/order"
		m.SetPayload(e.peer.Sample())
		sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: e.merchant, Now: e.now})
		if err == nil {
			assert.NotEmpty(t, sealed.Fingerprints, "%s: a request leaves unsigned", name)
		}
	}
	check := func(kind string, sealed *scheme.Sealed, send func(fault recipe.Fault) *message.Message) {
		want, err := e.open(send(""), sealed)
		require.NoError(t, err)
		if got, err := other.open(send(""), sealed); err == nil {
			assert.JSONEq(t, withoutFresh(want), withoutFresh(got), "%s %s", name, kind)
		}
		for _, fault := range faults {
			_, err := other.open(send(fault), sealed)
			assert.Error(t, err, "%s %s with %s", name, kind, fault)
		}
	}
	sending := func(fault recipe.Fault) recipe.Sending {
		return recipe.Sending{Keys: e.provider, Now: e.now, Fault: fault}
	}
	if p.Describe().Answer != nil && p.Describe().Request != nil {
		sealed := e.seal(t)
		received, err := e.peer.Receive(sealed.Message, e.provider, e.now)
		require.NoError(t, err)
		check("answer", sealed, func(fault recipe.Fault) *message.Message {
			m, err := e.peer.Answer(received, e.peer.Default(message.Answer, received, nil), sending(fault))
			require.NoError(t, err)
			return m
		})
	}
	if p.Describe().Notification != nil {
		to := message.New(message.Notification)
		to.Method, to.Scheme, to.Host, to.Path = "POST", "http", "127.0.0.1:8080", "/notify"
		check("notification", nil, func(fault recipe.Fault) *message.Message {
			m, err := e.peer.Notification(to, e.peer.Default(message.Notification, nil, nil), sending(fault))
			require.NoError(t, err)
			return m
		})
	}
}

// withoutFresh returns the payload of a message without what is another in each: strings
// that are long.
func withoutFresh(v *scheme.Verified) string {
	if v.Body() == nil {
		return "{}"
	}
	o, err := body.Parse(v.Body())
	if err != nil {
		return string(v.Body())
	}
	tree := body.NewTree(o)
	for _, m := range o.Members() {
		if text := string(m.Raw()); len(text) > 15 && m.Kind() == body.String {
			tree.Remove(body.Path{string(m.Name())})
		} else if !m.IsScalar() {
			_ = tree.SetString(body.Path{string(m.Name())}, "an object") // what is fresh in it is not compared
		}
	}
	return string(tree.Text())
}

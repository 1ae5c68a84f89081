package recipe_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A request whose members all nest, and an answer that repeats them as strings,
// take time in proportion to their number.
func TestManyNestedMembers(t *testing.T) {
	r, ok := providers.Find("jeepay")
	require.True(t, ok)
	p, err := recipe.Compile("jeepay", r, nil)
	require.NoError(t, err)
	set, err := keys.Parse("test", "1", keys.Material{keys.SharedSecret: {Text: []byte("s3cret")}})
	require.NoError(t, err)
	var request strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&request, `,"m%d":[]`, i)
	}
	o, err := body.Parse([]byte("{" + request.String()[1:] + "}"))
	require.NoError(t, err)
	m := message.New(message.Request)
	m.SetPayload(o)
	begin := processorTime(t)
	sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: time.Now()})
	require.NoError(t, err)
	back := message.New(message.Answer)
	back.Wire = []byte(`{"code":0,"sign":"00","data":` + string(sealed.Message.Wire) + "}")
	require.NoError(t, p.Describe().Answer.Format.Read(back))
	_, err = scheme.Open(p, scheme.Incoming{Message: back, Keys: set, Now: time.Now(), Request: sealed})
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	back.Header.Set("X", "y")
	require.NoError(t, p.Reveal(&scheme.Incoming{Message: back, Keys: set, Now: time.Now(), Request: sealed}))
	assert.Less(t, processorTime(t)-begin, 20*time.Second, "it was quadratic: half a minute on a machine that does nothing else")
}

// An answer whose members are all encrypted takes time in proportion to their number.
func TestManyEncryptedMembers(t *testing.T) {
	var r recipe.Recipe
	d := caddyfile.NewTestDispenser("recipe x {\ntext all {\nsorted body except sign nested json\n}\nrequest {\nencrypt aes-128-ecb base64 body.list.*.no {\nderive md5 raw\n}\nsign body.sign hmac-sha256 hex all\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}\n}")
	d.Next()
	name, err := r.UnmarshalCaddyfile(d)
	require.NoError(t, err)
	p, err := recipe.Compile(name, r, nil)
	require.NoError(t, err)
	peer, err := p.Peer()
	require.NoError(t, err)
	set, err := keys.Parse("test", "1", keys.Material{keys.SharedSecret: {Text: []byte("s3cret")}})
	require.NoError(t, err)
	o, err := body.Parse([]byte(`{"list":[` + strings.Repeat(`{"no":"1"},`, 60_000) + `{}]}`))
	require.NoError(t, err)
	m := message.New(message.Request)
	m.SetPayload(o)
	sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: time.Now()})
	require.NoError(t, err)
	received, err := peer.Receive(sealed.Message.Fresh(), set, time.Now())
	require.NoError(t, err)
	answer, err := peer.Answer(received, peer.Default(message.Answer, received, nil), recipe.Sending{Keys: set, Now: time.Now()})
	require.NoError(t, err)
	require.NoError(t, p.Describe().Answer.Format.Read(answer))
	begin := processorTime(t)
	_, err = scheme.Open(p, scheme.Incoming{Message: answer, Keys: set, Now: time.Now(), Request: sealed})
	require.NoError(t, err)
	assert.Less(t, processorTime(t)-begin, 5*time.Second, "it was quadratic: 14 s on a machine that does nothing else")
}

// processorTime returns what this process has computed so far: on a machine that is busy
// with other things the time of day says nothing.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

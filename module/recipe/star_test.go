package recipe

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// A member whose name is * is a member like others. It does not stand for every member.
func TestMemberNamedStar(t *testing.T) {
	set := shared("s3cret")
	p := mustCompile(t, "text all {\nsorted body except sign nested recurse\n}\nrequest {\nstring body.*\nsign body.sign hmac-sha256 hex all\n}\nanswer {\nverify body.sign hmac-sha256 hex all\n}\nnotification {\nverify body.sign hmac-sha256 hex all\n}")
	open := func(members string, request *scheme.Sealed) (*scheme.Verified, error) {
		sum := p.sum(t, p.read(t, message.Answer, "{"+members+"}"), set)
		return scheme.Open(p, scheme.Incoming{Message: p.read(t, message.Answer, "{"+members+`,"sign":"`+sum+`"}`), Keys: set, Now: testTime, Request: request})
	}

	t.Run("what was sent as a string comes back as JSON", func(t *testing.T) {
		sealed, err := p.seal(t, set, `{"*":{"a":1},"b":2}`)
		require.NoError(t, err)
		v, err := open(`"c":"{\"a\":1}","*":"{\"a\":1}"`, sealed)
		require.NoError(t, err)
		assert.Contains(t, string(v.Body()), `{"c":"{\"a\":1}","*":{"a":1},`)
	})
	t.Run("its signature covers it", func(t *testing.T) {
		covers := p.description.Notification.Covers
		assert.True(t, covers(body.Path{"*"}))
		assert.True(t, covers(body.Path{"*", "a"}))
		assert.False(t, covers(body.Path{body.Any}), "sign is excepted")
	})
	t.Run("it takes no check from others", func(t *testing.T) {
		checked := mustCompile(t, "text all {\nsorted body except sign\n}\nrequest {\nstring body.*\ncheck body.* string\nsign body.sign hmac-sha256 hex all\n}")
		for _, request := range []string{`{"b":2}`, `{"*":{"a":1},"b":2}`} {
			_, err := checked.seal(t, set, request)
			assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), request)
		}
	})
}

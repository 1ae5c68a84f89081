package recipe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// What several lines did to a member, or to a member and to one inside of it, is undone in
// the opposite order, and comes back as the application sent it.
func TestSeveralEncryptionsOfAMember(t *testing.T) {
	set := shared("s3cret")
	const block = " {\nderive md5 raw\n}\n"
	for name, lines := range map[string]string{
		"twice":                     "encrypt aes-128-ecb base64 body.d" + block + "encrypt aes-128-ecb hex body.d" + block,
		"a text, then encrypted":    "string body.d\nencrypt aes-128-ecb base64 body.d" + block,
		"inside, in two lines":      "encrypt aes-128-ecb base64 body.d.x" + block + "encrypt aes-128-ecb hex body.d" + block,
		"inside, in one line":       "encrypt aes-128-ecb hex body.d.x body.d" + block,
		"inside, every one":         "encrypt aes-128-ecb hex body.d.* body.d" + block,
		"inside, outer with texts":  "string body.d.* \nencrypt aes-128-ecb base64 body.d.x" + block + "encrypt aes-128-ecb hex body.d" + block,
		"inside a text, then twice": "string body.d\nencrypt aes-128-ecb base64 body.d.x" + block + "encrypt aes-128-ecb hex body.d" + block,
	} {
		p := mustCompile(t, "text members {\nsorted body except sign\n}\nrequest {\n"+lines+"sign body.sign hmac-sha256 hex members\n}\nanswer {\nverify body.sign hmac-sha256 hex members\n}")
		peer, err := p.Peer()
		require.NoError(t, err)
		for _, plain := range []string{`{"d":{"x":"4111"}}`, `{"d":{"x":{"no":4111}}}`, `{"d":"{\"x\":\"4111\"}"}`, `{"d":"4111"}`, `{"d":4111}`} {
			sealed, err := p.seal(t, set, plain)
			require.NoError(t, err, name)
			assert.NotContains(t, string(sealed.Message.Wire), "4111", name)
			if strings.HasPrefix(plain, `{"d":"{`) && strings.HasPrefix(name, "inside, ") {
				continue // once decrypted, this text reads as an object whose member x was never encrypted
			}
			received, err := peer.Receive(sealed.Message.Fresh(), set, testTime)
			if !assert.NoError(t, err, name) {
				continue
			}
			answer, err := peer.Answer(received, peer.Default(message.Answer, received, nil), Sending{Keys: set, Now: testTime})
			require.NoError(t, err, name)
			assert.NotContains(t, string(answer.Wire), "4111", name)
			require.NoError(t, p.answer.format.Read(answer))
			opened, err := scheme.Open(p, scheme.Incoming{Message: answer, Keys: set, Now: testTime, Request: sealed})
			if assert.NoError(t, err, name+plain) {
				assert.Contains(t, string(opened.Body()), plain[1:len(plain)-1], name)
			}
		}
	}
}

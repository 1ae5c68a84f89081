package recipe

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// What a merchant seals the peer verifies, and nothing that was changed.
func TestVerifyRequest(t *testing.T) {
	set := &keys.Set{Secret: keys.NewSecret([]byte("s3cret-of-acme-0123456789"), "test")}
	set.VerifySecrets = []*keys.Secret{set.Secret}
	for name, text := range map[string]string{
		"member": "recipe acme {\nrequest {\ndefault body.time {time.unix}\nsign body.sign hmac-sha256 hex `{body}`\n}\n}",
		"header": "recipe acme {\nrequest {\nsign header.Authorization hmac-sha256 base64 `{method}\\n{time.unix}\\n{nonce.16}\\n{body}` as `ACME time=\"{time.unix}\",nonce=\"{nonce.16}\",signature=\"{signature}\"`\n}\n}",
	} {
		d := caddyfile.NewTestDispenser(text)
		d.Next()
		var r Recipe
		_, err := r.UnmarshalCaddyfile(d)
		require.NoError(t, err, name)
		p, err := Compile("acme", r, nil)
		require.NoError(t, err, name)
		plain := message.New(message.Request)
		plain.Method = "POST"
		o, err := body.Parse([]byte(`{"a":"1"}`))
		require.NoError(t, err)
		plain.SetPayload(o)
		sealed, err := scheme.Seal(p, scheme.Request{Message: plain, Keys: set, Now: time.Unix(1700000000, 0)})
		require.NoError(t, err, name)
		came := *sealed.Message
		got, err := p.VerifyRequest(&came, set, time.Unix(1700000060, 0))
		require.NoError(t, err, name)
		assert.Contains(t, string(got), `"a":"1"`, name)
		came.Wire = []byte(`{"a":"2"` + string(came.Wire[8:]))
		_, err = p.VerifyRequest(&came, set, time.Unix(1700000060, 0))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), name)
	}
}

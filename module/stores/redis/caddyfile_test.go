package redis

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCaddyfile(t *testing.T) {
	s := new(Store)
	require.NoError(t, s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(`redis rediss://redis.example:6380/1 {
		username countersign
		password {file./run/secrets/redis}
		prefix east:
		timeout 500ms
		ca ca.pem
		allow_plaintext
	}`)))
	assert.Equal(t, &Store{
		Address: "rediss://redis.example:6380/1", Username: "countersign", Password: "{file./run/secrets/redis}",
		Prefix: "east:", Timeout: caddy.Duration(500 * time.Millisecond), CA: "ca.pem", AllowPlaintext: true,
	}, s)

	for input, want := range map[string]string{
		"redis":                                 "takes one address",
		"redis a b":                             "takes one address",
		"redis redis://127.0.0.1 {\n prefix\n}": "Testfile:2",
		"redis redis://127.0.0.1 {\n timeout soon\n}":        "must be a duration",
		"redis redis://127.0.0.1 {\n allow_plaintext yes\n}": "takes no value",
		"redis redis://127.0.0.1 {\n\n cluster yes\n}":       "Testfile:3",
	} {
		require.ErrorContains(t, new(Store).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)), want, input)
	}
}

package attack

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// FuzzOptions sets an option of a scheme to whatever comes: the scheme refuses
// it, or seals as before, and says what is signed.
func FuzzOptions(f *testing.F) {
	for i, p := range parties {
		for n, o := range p.scheme(f).Options() {
			for _, value := range append(o.Values, "", "x", "{", "}", "{}", "{secret}", "{data}{secret}", "{secret}{data}", "{data}{data}", "中", "\x00", "sign", "dgtlEnvlp") {
				f.Add(uint8(i), uint8(n), value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which, option uint8, value string) {
		p := parties[int(which)%len(parties)]
		options := p.scheme(t).Options()
		o := options[int(option)%len(options)]
		setting := providertest.Setting{o.Name, value}
		if o.List {
			setting = append(setting[:1], strings.Split(value, " ")...)
		}
		s, err := providertest.Try(t, p.name, append(slices.Clone(p.options), setting)...)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		held := p.held(t, "merchant")
		sealed, err := s.Seal(providertest.Request{Body: parse(t, p.request(t)), Keys: held, Now: now})
		if err != nil {
			require.NotZero(t, scheme.ReasonOf(err), "%v", err)
			return
		}
		sent, err := body.Parse(sealed.Body)
		require.NoError(t, err, "%s", sealed.Body)
		text, err := s.Canonical(providertest.Wire{Kind: message.Request, Body: sent})
		require.NoError(t, err)
		require.Equal(t, string(sealed.Canonical), string(text))
		if secret := held.Secret; secret != nil {
			require.NotContains(t, string(sealed.Canonical), string(secret.Bytes()))
			require.NotContains(t, string(sealed.Body), string(secret.Bytes()))
		}
	})
}

// FuzzCaddyfile adapts whatever comes in the place of our options: it is
// adapted to JSON, or refused with an error that says where.
func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"", "keys a", "keys a b c", "keys\nkeys", "keys {body.orgId}", "timeout -1s", "max_request_body 1MiB", "match on {", "http {\n tls\n}",
		"http {", "reverse_proxy {\n lb_retry_match POST\n}", "reverse_proxy", "}", "{", "encrypt a b", "encrypt", "\"", "`", "profile \"\"",
		"forward_headers Host", "forward_headers \u0000", "max_in_flight 99999999999999999999", "unsigned_responses pass pass", "keys <<X\na\nX",
		"once 1h redis {\n address 127.0.0.1:1\n}", "expect a b*", "window 1s", "as json", "ack \"\"", "notify http://127.0.0.1/", "keys vault https://v {\n kv a\n auth kubernetes r\n}",
		"keys file a {\n name b\n}", "{$HOME}", "{env.X}", "# x", "name x; y",
	} {
		for place := range uint8(6) {
			f.Add(place, seed)
		}
	}
	adapter := caddyconfig.GetAdapter("caddyfile")
	f.Fuzz(func(t *testing.T, place uint8, text string) {
		if strings.Contains(text, "import") || len(text) > 1<<12 {
			return // it reads other files, which is Caddy's affair
		}
		global, site := "", ""
		schemes := []string{"easypay", "jeepay", "hbsk", "hkrt", "hongwen"}
		name := schemes[int(place/6)%len(schemes)]
		switch place % 6 {
		case 0:
			site = "countersign " + name + " https://provider.example {\n" + text + "\n}"
		case 1:
			site = "countersign " + name + " https://provider.example {\nreverse_proxy {\n" + text + "\n}\n}"
		case 2:
			site = "countersign_notify " + name + " {\n" + text + "\n}"
		case 3:
			site = "countersign_sandbox " + name + " {\n" + text + "\n}"
		case 4:
			global = "countersign {\n" + text + "\n}"
		case 5:
			site = "countersign " + text
		}
		config, _, err := adapter.Adapt([]byte("{\n"+global+"\n}\nhttp://127.0.0.1:1 {\n"+site+"\n}\n"), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.True(t, json.Valid(config))
	})
}

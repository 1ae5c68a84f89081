package notify_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// adapted returns the configuration of the handler in a site.
func adapted(t *testing.T, directive string) (string, error) {
	t.Helper()
	text, err := adapt(&running{address: "127.0.0.1:1", keys: "keys", log: "log"}, directive)
	if err != nil {
		return "", err
	}
	var config struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Routes []struct {
						Handle []struct {
							Routes []struct {
								Handle []json.RawMessage `json:"handle"`
							} `json:"routes"`
						} `json:"handle"`
					} `json:"routes"`
				} `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	require.NoError(t, json.Unmarshal(text, &config))
	return string(config.Apps.HTTP.Servers["srv0"].Routes[0].Handle[0].Routes[0].Handle[0]), nil
}

func TestAdapt(t *testing.T) {
	for name, test := range map[string]struct{ directive, want string }{
		"least": {
			"countersign_notify easypay {\n keys easypay/1\n}",
			`{"handler":"countersign_notify","line":"Caddyfile:23","reference":"easypay/1","scheme":{"name":"easypay"}}`,
		},
		"all": {
			`countersign_notify jeepay {
				keys vault jeepay/{body.mchNo}
				profile east
				max_request_body 64KiB
				timeout 5s
				as json
				window 10m
				ack done
				once 1d redis redis://127.0.0.1:6379/0 {
					password {env.REDIS_PASSWORD}
					prefix east:
				}
				expect mchNo M1
				expect mchNo M2*
				expect amount 1
				match off
				sign_type RSA2
			}`,
			`{"ack":"done","as":"json","expect":[{"member":"mchNo","value":"M1"},{"member":"mchNo","value":"M2*"},{"member":"amount","value":"1"}],` +
				`"handler":"countersign_notify","line":"Caddyfile:23","max_request_body":65536,` +
				`"once":{"for":86400000000000,"store":{"address":"redis://127.0.0.1:6379/0","name":"redis","password":"{env.REDIS_PASSWORD}","prefix":"east:"}},` +
				`"profile":"east","reference":"jeepay/{body.mchNo}","scheme":{"match":"off","name":"jeepay","sign_type":"RSA2"},"source":"vault",` +
				`"timeout":5000000000,"window":600000000000}`,
		},
		"memory": {
			"countersign_notify easypay {\n keys easypay/1\n once 30m memory {\n max_entries 10\n max_bytes 1MiB\n}\n}",
			`{"handler":"countersign_notify","line":"Caddyfile:23","once":{"for":1800000000000,"store":{"max_bytes":1048576,"max_entries":10,"name":"memory"}},` +
				`"reference":"easypay/1","scheme":{"name":"easypay"}}`,
		},
		"the address of a redis stands for the store": {
			"countersign_notify easypay {\n keys easypay/1\n once 24h redis://redis:6379\n}",
			`{"handler":"countersign_notify","line":"Caddyfile:23","once":{"for":86400000000000,"store":{"address":"redis://redis:6379","allow_plaintext":true,"name":"redis"}},` +
				`"reference":"easypay/1","scheme":{"name":"easypay"}}`,
		},
		"an address with TLS, its options, and what comes after it": {
			"countersign_notify easypay {\n keys easypay/1\n once 24h rediss://redis:6379/1 {\n prefix east:\n}\n profile east\n}",
			`{"handler":"countersign_notify","line":"Caddyfile:23","once":{"for":86400000000000,"store":{"address":"rediss://redis:6379/1","name":"redis","prefix":"east:"}},` +
				`"profile":"east","reference":"easypay/1","scheme":{"name":"easypay"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := adapted(t, test.directive)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

// Every mistake names its line.
func TestMistakes(t *testing.T) {
	for name, test := range map[string]struct{ directive, want, line string }{
		"no scheme":            {"countersign_notify", "needs a scheme", ":23"},
		"unknown scheme":       {"countersign_notify nobody {\n keys x\n}", `unknown scheme "nobody"; known are adapay`, ":23"},
		"more than a scheme":   {"countersign_notify easypay 127.0.0.1:80 {\n keys x\n}", "one scheme and no more", ":23"},
		"no block":             {"countersign_notify easypay", "needs keys", ":23"},
		"no keys":              {"countersign_notify easypay {\n profile x\n}", "needs keys", ":23"},
		"empty keys":           {"countersign_notify easypay {\n keys \"\"\n}", "not empty", ":24"},
		"bad keys":             {"countersign_notify easypay {\n keys ../x\n}", "plain relative path", ":24"},
		"unfinished keys":      {"countersign_notify easypay {\n keys x/{body.\n}", "unfinished", ":24"},
		"keys twice":           {"countersign_notify easypay {\n keys x\n keys y\n}", "keys is given twice", ":25"},
		"unknown option":       {"countersign_notify easypay {\n keys x\n\n colour red\n}", `unknown option "colour"`, ":26"},
		"an option of another": {"countersign_notify easypay {\n keys x\n empty_list keep\n}", `unknown option "empty_list"`, ":25"},
		"an option's value":    {"countersign_notify easypay {\n keys x\n empty maybe\n}", "empty cannot be", ":25"},
		"as":                   {"countersign_notify jeepay {\n keys x\n as xml\n}", "as cannot be", ":25"},
		"size":                 {"countersign_notify jeepay {\n keys x\n max_request_body much\n}", "must be a size", ":25"},
		"timeout":              {"countersign_notify jeepay {\n keys x\n timeout -1s\n}", "must be a duration", ":25"},
		"window":               {"countersign_notify jeepay {\n keys x\n window soon\n}", "must be a duration", ":25"},
		"window without stamp": {"countersign_notify easypay {\n keys x\n window 5m\n}", "window cannot be given: easypay signs no time stamp", ":25"},
		"window, hkrt":         {"countersign_notify hkrt {\n keys x\n window 5m\n}", "hkrt signs no time stamp", ":25"},
		"window, template":     {"countersign_notify hbsk {\n keys x\n window 5m\n response_message {data}\n}", "hbsk signs no time stamp", ":25"},
		"ack":                  {"countersign_notify easypay {\n keys x\n ack a b\n}", "exactly one value", ":25"},
		"empty ack":            {"countersign_notify easypay {\n keys x\n ack \" \"\n}", "not only white space", ":25"},
		"once":                 {"countersign_notify easypay {\n keys x\n once\n}", "takes a duration", ":25"},
		"once, no duration":    {"countersign_notify easypay {\n keys x\n once memory\n}", `not "memory"`, ":25"},
		"once, zero":           {"countersign_notify easypay {\n keys x\n once 0s\n}", `not "0s"`, ":25"},
		"once twice":           {"countersign_notify easypay {\n keys x\n once 1h\n once 2h\n}", "once is given twice", ":26"},
		"unknown store":        {"countersign_notify easypay {\n keys x\n once 1h etcd\n}", `unknown store "etcd"; known are broken, memory, redis, and an address such as redis://127.0.0.1:6379`, ":25"},
		"an address and more":  {"countersign_notify easypay {\n keys x\n once 1h redis://127.0.0.1 x\n}", "takes one address", ":25"},
		"an address's option":  {"countersign_notify easypay {\n keys x\n once 1h redis://127.0.0.1 {\n size 5\n}\n}", `unknown option "size" of the store redis`, ":26"},
		"a store's option":     {"countersign_notify easypay {\n keys x\n once 1h memory {\n size 5\n}\n}", `unknown option "size" of the store memory`, ":26"},
		"a store's argument":   {"countersign_notify easypay {\n keys x\n once 1h redis\n}", "takes one address", ":25"},
		"expect":               {"countersign_notify easypay {\n keys x\n expect bizData.x\n}", "expect takes a signed member and its value", ":25"},
		"expect nothing":       {"countersign_notify easypay {\n keys x\n expect bizData.x \"\"\n}", "needs a member and a value", ":25"},
		"expect anything":      {"countersign_notify jeepay {\n keys x\n expect mchNo *\n}", "takes every value", ":25"},
		"expect, white space":  {"countersign_notify easypay {\n keys x\n expect \"bizData. \" 1\n}", `cannot name "bizData. "`, ":25"},
		"expect, half a path":  {"countersign_notify easypay {\n keys x\n expect bizData. 1\n}", `cannot name "bizData."`, ":25"},
		"expect, a gap":        {"countersign_notify hkrt {\n keys x\n expect a..c 1.10\n}", `cannot name "a..c"`, ":25"},
		"expect unsigned":      {"countersign_notify easypay {\n keys x\n expect orgId ORG1\n}", "easypay does not sign it", ":25"},
		"expect the part":      {"countersign_notify easypay {\n keys x\n expect bizData x\n}", "easypay does not sign it", ":25"},
		"expect a path beside": {"countersign_notify easypay {\n keys x\n expect x.bizData.y x\n}", "easypay does not sign it", ":25"},
		"expect the signature": {"countersign_notify jeepay {\n keys x\n expect sign x\n}", "jeepay does not sign it", ":25"},
		"the second expect":    {"countersign_notify easypay {\n keys x\n expect bizData.x 1\n expect orgId 1\n}", "does not sign it", ":26"},
		"expect, hbsk":         {"countersign_notify hbsk {\n keys x\n expect code 0\n}", "hbsk does not sign it", ":25"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := adapted(t, test.directive)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
			assert.Contains(t, err.Error(), "Caddyfile"+test.line)
		})
	}
}

// What only provisioning can know names the line of the directive; JSON, which
// has no lines, is checked as well.
func TestRefusedAtLoad(t *testing.T) {
	t.Setenv("COUNTERSIGN_TEST_STAR", "*")
	for name, test := range map[string]struct{ directive, want string }{
		"no such source":   {"countersign_notify easypay {\n keys elsewhere easypay/1\n}", `no key source called "elsewhere"`},
		"missing variable": {"countersign_notify jeepay {\n keys x\n expect mchNo {env.COUNTERSIGN_TEST_MISSING}\n}", "the value expected of mchNo"},
		"star in variable": {"countersign_notify jeepay {\n keys x\n expect mchNo {env.COUNTERSIGN_TEST_STAR}\n}", "with its placeholders filled in: expect mchNo * takes every value"},
		"store":            {"countersign_notify jeepay {\n keys x\n once 1h redis redis://redis.example\n}", "redis.example"},
		"key reference":    {"countersign_notify jeepay {\n keys {env.COUNTERSIGN_TEST_MISSING}\n}", "the key reference"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := adapt(&running{address: networktest.Address(t), keys: t.TempDir(), log: filepath.Join(t.TempDir(), "log")}, test.directive)
			require.NoError(t, err)
			err = caddy.Load(text, true)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
			assert.Contains(t, err.Error(), "Caddyfile:23")
		})
	}
	base, err := adapt(&running{address: networktest.Address(t), keys: t.TempDir(), log: filepath.Join(t.TempDir(), "log")}, "countersign_notify easypay {\n keys x\n}")
	require.NoError(t, err)
	for edit, want := range map[string]string{
		`"scheme":{"name":"hbsk"},"window":1`:                                                     "",
		`"scheme":{"name":"easypay"},"window":1`:                                                  "signs no time stamp",
		`"scheme":{"name":"easypay"},"window":-1`:                                                 "must be positive",
		`"scheme":{"name":"easypay"},"timeout":-1`:                                                "must be positive",
		`"scheme":{"name":"easypay"},"max_request_body":-1`:                                       "must be positive",
		`"scheme":{"name":"easypay"},"as":"xml"`:                                                  "as cannot be",
		`"scheme":{"name":"easypay"},"once":{}`:                                                   "once needs a duration",
		`"scheme":{"name":"easypay"},"once":{"for":-1}`:                                           "once needs a duration",
		`"scheme":{"name":"easypay"},"once":{"for":1,"store":{"name":"nowhere"}}`:                 "setting up the store",
		`"scheme":{"name":"easypay"},"once":{"for":1,"store":{"name":"memory","max_entries":-1}}`: "must be positive",
		`"scheme":{"name":"easypay"},"expect":[{"member":"orgId","value":"x"}]`:                   "does not sign it",
		`"scheme":{"name":"easypay"},"expect":[{"member":"bizData.x"}]`:                           "needs a member and a value",
		`"scheme":{"name":"easypay","empty":"maybe"}`:                                             "empty cannot be",
		`"scheme":{"name":"nowhere"}`:                                                             "unknown scheme",
		`"scheme":{}`:                                                                             "needs a scheme",
	} {
		text := strings.Replace(string(base), `"scheme":{"name":"easypay"}`, edit, 1)
		require.NotEqual(t, string(base), text+" ")
		err := caddy.Load([]byte(text), true)
		if want == "" {
			require.NoError(t, err, edit)
			require.NoError(t, caddy.Stop())
			continue
		}
		require.ErrorContains(t, err, want, edit)
	}
	for _, text := range []string{
		strings.Replace(string(base), `,"scheme":{"name":"easypay"}`, "", 1), strings.Replace(string(base), `"reference":"x",`, "", 1),
	} {
		require.NotEqual(t, string(base), text)
		require.ErrorContains(t, caddy.Load([]byte(text), true), "countersign_notify needs")
	}
}

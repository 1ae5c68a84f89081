package providers_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// wrapped is a recipe whose payload is encrypted as a whole and travels in a field that
// is signed among others.
const wrapped = `recipe wrapped {
	text signed {
		sorted form except sign
		append {secret}
	}
	request {
		seal body aes-128-cbc base64 {
			key ascii 16
			iv prepended
			wrap rsa-oaep-sha256 base64 form.key
		}
		wrap form data
		sign form.sign sha256 hex signed
	}
	answer {
		unwrap form data
		verify form.sign sha256 hex signed
		open body aes-128-cbc base64 {
			key ascii 16
			iv prepended
			wrap rsa-oaep-sha256 base64 form.key
		}
	}
}`

// The sandbox plays the recipes of the wild as well: what it sends verifies, and with
// each fault it does not.
func TestPeersOfTheWild(t *testing.T) {
	left := map[string]string{
		"wzbank": "a secret of another size than the test's keys", "bankofchangsha": "likewise", "helipay": "likewise",
		"fondy":         "the sample has members beside the signed object",
		"wirecard":      "the application lists what is signed",
		"iyzico":        "the signature stands in a part of Base64, which is not read back",
		"midtrans-snap": "the application sends a token", "realex": "the application writes the attributes", "words-4": "the application has a merchant",
	}
	files, err := filepath.Glob("../../integration/landscape/recipes/*.caddyfile")
	require.NoError(t, err)
	played := 0
	for _, file := range append(files, "wrapped") {
		text := []byte(wrapped)
		if file != "wrapped" {
			text, err = os.ReadFile(file)
			require.NoError(t, err)
		}
		all, err := providers.Parse(file, text)
		require.NoError(t, err)
		for name, r := range all {
			if left[name] != "" {
				continue
			}
			played++
			t.Run(name, func(t *testing.T) {
				p, err := recipe.Compile(name, r, nil)
				require.NoError(t, err)
				peer, err := p.Peer()
				require.NoError(t, err)
				e := &exchange{program: p, peer: peer, now: time.Now()}
				e.merchant, e.provider = providertest.NewSides(t, p).Sets(t)
				d := p.Describe()
				check := func(fault recipe.Fault, err error) {
					switch fault {
					case "":
						require.NoError(t, err)
					case recipe.Unsigned:
						assert.Equal(t, scheme.Unsigned, scheme.ReasonOf(err), "%s: %v", fault, err)
					default:
						assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s: %v", fault, err)
					}
				}
				var received *recipe.Received
				if d.Request != nil {
					sealed := e.seal(t)
					received, err = peer.Receive(sealed.Message, e.provider, e.now)
					require.NoError(t, err)
					for _, fault := range append([]recipe.Fault{""}, faults...) {
						if d.Answer == nil {
							break
						}
						m, err := peer.Answer(received, peer.Default(message.Answer, received, nil), recipe.Sending{Keys: e.provider, Now: e.now, Fault: fault})
						require.NoError(t, err, fault)
						_, err = e.open(m, sealed)
						check(fault, err)
					}
				}
				to := message.New(message.Notification)
				to.Method, to.Scheme, to.Host, to.Path = "POST", "http", "127.0.0.1:8080", "/notify"
				for _, fault := range append([]recipe.Fault{""}, faults...) {
					if d.Notification == nil {
						break
					}
					m, err := peer.Notification(to, peer.Default(message.Notification, received, nil), recipe.Sending{Keys: e.provider, Now: e.now, Fault: fault})
					require.NoError(t, err, fault)
					_, err = e.open(m, nil)
					check(fault, err)
				}
			})
		}
	}
	assert.Greater(t, played, 100)
}

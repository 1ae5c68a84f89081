package attack_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/recipe/attack"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Where a text has no names, another name of a value is not signed, and where the values
// have an order of their own, two of them can be swapped. A recipe says so when it is
// loaded, and the table does not take what passes for a fault.
func TestNamesThatAreNotSigned(t *testing.T) {
	set, err := keys.Parse("test", "1", keys.Material{keys.SharedSecret: {Text: []byte("s3cret"), Origin: "a test"}})
	require.NoError(t, err)
	for _, test := range []struct {
		line, signed, warning string
		passes                []string
	}{
		{"sorted body except sign", "Fee=3&amount=1.10&trade=T1", "", nil},
		{"sorted body except sign order name-fold names upper", "AMOUNT=1.10&FEE=3&TRADE=T1", "", nil},
		{"values sorted except sign join |", "3|1.10|T1", "sorts to the same place", []string{"Fee called FEE"}},
		{"values sorted except sign order name-fold join |", "1.10|3|T1", "sorts to the same place", []string{"amount called AMOUNT", "Fee called FEE", "trade called TRADE"}},
		{"values by-value except sign join |", "1.10|3|T1", "can be swapped", []string{
			"amount called AMOUNT", "the values of amount and Fee swapped", "Fee called FEE", "the values of Fee and trade swapped", "trade called TRADE",
		}},
		{"values amount Fee trade join |", "1.10|3|T1", "", []string{"added zz_added"}},
	} {
		t.Run(test.line, func(t *testing.T) {
			var r recipe.Recipe
			d := caddyfile.NewTestDispenser("recipe x {\ntext t {\n" + test.line + "\n}\nnotification {\nverify body.sign hmac-sha256 hex t\n}\n}")
			d.Next()
			name, err := r.UnmarshalCaddyfile(d)
			require.NoError(t, err)
			p, err := recipe.Compile(name, r, nil)
			require.NoError(t, err)
			warnings := strings.Join(p.Describe().WarningsOf(message.Notification), "\n")
			assert.Equal(t, test.warning != "", strings.Contains(warnings, "signs no names"), warnings)
			assert.Contains(t, warnings, test.warning)

			mac := hmac.New(sha256.New, []byte("s3cret"))
			mac.Write([]byte(test.signed))
			m := message.New(message.Notification)
			m.Method, m.Wire = "POST", []byte(`{"amount":"1.10","Fee":"3","trade":"T1","sign":"`+hex.EncodeToString(mac.Sum(nil))+`"}`)
			open := func(m *message.Message) error {
				if err := p.Describe().Notification.Format.Read(m); err != nil {
					return err
				}
				_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: time.Now()})
				return err
			}
			require.NoError(t, open(m.Fresh()))
			var passed []string
			for _, c := range attack.Cases(p, m, nil) {
				err := open(c.Message)
				if c.Refused {
					assert.Error(t, err, c.Name)
				} else if err == nil && c.Message.Wire != nil && string(c.Message.Wire) != string(m.Wire) {
					passed = append(passed, c.Name.String())
				}
			}
			assert.Equal(t, test.passes, passed)
		})
	}
}

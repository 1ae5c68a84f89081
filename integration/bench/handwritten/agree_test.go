package main

import (
	"crypto/hmac"
	stdmd5 "crypto/md5"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// exchange is a request, and an answer with the text that its signature is over.
type exchange struct {
	recipe, reference string
	settings          recipe.Settings
	request           string
	answer            string // %s is the signature
	signed            string
	mac               bool // HMAC, otherwise MD5 of the text and the secret
	tampered          [2]string
}

var exchanges = []exchange{
	{
		recipe: "jeepay", reference: "jeepay/M1623997351",
		request:  `{"mchNo":"M1623997351","appId":"60cc3ba74ee0e6685f57eb1e","payOrderId":"P1","useSysAutoDivisionReceivers":"0","receivers":[{"receiverGroupId":"","receiverId":"800029","divisionProfit":"0.0001"}],"extParam":"PAD"}`,
		answer:   `{"code":0,"data":{"attach":"PAD","errMsg":"ok","payOrderId":"P1","state":2,"receivers":"[{\"receiverId\":\"800029\"}]"},"msg":"SUCCESS","sign":"%s"}`,
		signed:   `attach=PAD&errMsg=ok&payOrderId=P1&receivers=[{"receiverId":"800029"}]&state=2&key=`,
		tampered: [2]string{`"state":2`, `"state":3`},
	},
	{
		recipe: "hkrt", reference: "hkrt/405544499f016a9b3d8f57000f", settings: recipe.Settings{"access_id": {"405544499f016a9b3d8f57000f"}},
		request:  `{"agent_no":"FF109108120","merch_no":"83320253445099","trade_no":"UN2312320546186687318899","apply_no":"A1","ledger_relation":[{"receive_no":"833112128140726","amt":"0.01","remark":"PAD"},{"receive_no":"2","amt":"","remark":null}]}`,
		answer:   `{"apply_no":"A1","ledger_no":"23050605482166772759516","list":[{"b":1,"a":"PAD"},[],"x"],"return_code":10000,"sign":"%s"}`,
		signed:   "apply_no=A1&ledger_no=23050605482166772759516&list=a=PAD&b=1&x&return_code=10000",
		tampered: [2]string{`"b":1`, `"b":2`},
	},
	{
		recipe: "hbsk", reference: "hbsk/d787d45a68b48", settings: recipe.Settings{"developer_key": {"d787d45a68b48"}},
		request:  `{"data":{"orders":["2022111791728765"],"holders":[{"amount":1,"code":"H7638527"}],"sequence":"S1","remark":"PAD"}}`,
		answer:   `{"code":0,"data":"{\"sequence\":\"S1\",\"state\":\"success\",\"remark\":\"PAD\"}","sign":"%s","time":1668672190}`,
		signed:   `data={"sequence":"S1","state":"success","remark":"PAD"}&time=1668672190`,
		mac:      true,
		tampered: [2]string{"1668672190", "1668672191"},
	},
}

// sides are the recipe and the scheme in Go of an exchange, its keys and its messages.
type sides struct {
	schemes map[string]scheme.Scheme
	keys    *keys.Set
	request []byte
	answer  []byte
}

func (x exchange) sides(t testing.TB) sides {
	secret, err := os.ReadFile(filepath.Join("../../../keys-dev/merchant", x.reference, "secret"))
	require.NoError(t, err)
	secret = []byte(strings.TrimSpace(string(secret)))
	set, err := keys.Parse(x.reference, "1", keys.Material{keys.SharedSecret: {Text: secret}})
	require.NoError(t, err)
	s := sides{schemes: make(map[string]scheme.Scheme), keys: set}
	for side, name := range map[string]string{"recipe": x.recipe, "go": x.recipe + "_go"} {
		s.schemes[side], err = protocol.Config{Name: name, Settings: x.settings}.Load(nil)
		require.NoError(t, err)
	}
	padded := strings.NewReplacer("PAD", strings.Repeat("分账0", 100))
	text := padded.Replace(x.signed)
	signature := fmt.Sprintf("%X", stdmd5.Sum([]byte(text+string(secret))))
	if x.mac {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(text))
		signature = fmt.Sprintf("%x", h.Sum(nil))
	}
	s.request, s.answer = []byte(padded.Replace(x.request)), []byte(padded.Replace(fmt.Sprintf(x.answer, signature)))
	return s
}

// run seals a request and opens an answer, as the sidecar does.
func run(s scheme.Scheme, set *keys.Set, request, answer []byte) (sealed *scheme.Sealed, opened *scheme.Verified, err error) {
	now := time.Unix(1700000000, 0)
	m := message.New(message.Request)
	m.Method = "POST"
	o, err := body.Parse(request)
	if err != nil {
		return nil, nil, err
	}
	m.SetPayload(o)
	if sealed, err = scheme.Seal(s, scheme.Request{Message: m, Keys: set, Now: now}); err != nil {
		return nil, nil, err
	}
	in := scheme.Incoming{Message: message.New(message.Answer), Keys: set, Now: now, Request: sealed}
	in.Message.Status, in.Message.Wire = 200, answer
	if err = s.Describe().Answer.Format.Read(in.Message); err != nil {
		return nil, nil, err
	}
	opened, err = scheme.Open(s, in)
	return sealed, opened, err
}

// The recipes and the schemes in Go send and hand back the same bytes, so that the bench
// compares like with like.
func TestAgree(t *testing.T) {
	for _, x := range exchanges {
		t.Run(x.recipe, func(t *testing.T) {
			s := x.sides(t)
			byRecipe, recipeOpened, err := run(s.schemes["recipe"], s.keys, s.request, s.answer)
			require.NoError(t, err)
			byGo, goOpened, err := run(s.schemes["go"], s.keys, s.request, s.answer)
			require.NoError(t, err)
			assert.Equal(t, string(byRecipe.Message.Wire), string(byGo.Message.Wire))
			assert.Equal(t, string(recipeOpened.Body()), string(goOpened.Body()))
			assert.NotEqual(t, string(s.request), string(byGo.Message.Wire))

			tampered := []byte(strings.Replace(string(s.answer), x.tampered[0], x.tampered[1], 1))
			for side, sch := range s.schemes {
				_, _, err := run(sch, s.keys, s.request, tampered)
				assert.ErrorContains(t, err, "does not verify", side)
			}
		})
	}
}

// BenchmarkExchange is what sealing a request and opening its answer costs, one KiB each.
func BenchmarkExchange(b *testing.B) {
	for _, x := range exchanges {
		s := x.sides(b)
		for _, side := range []string{"go", "recipe"} {
			b.Run(x.recipe+"/"+side, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := run(s.schemes[side], s.keys, s.request, s.answer); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Package attack tries to break the sidecar: by fuzzing, by known attacks on
// its cryptography, and by moving signatures between messages. It stands
// outside of the schemes and of the sandbox providers, so that it can set one
// against the other.
package attack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource/file"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/easypay"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hbsk"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hkrt"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hongwen"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/jeepay"

	_ "github.com/countersign/caddy-countersign/module"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

// repository is the top of the repository.
const repository = "../.."

// now is the clock of both sides.
var now = time.Date(2024, 3, 6, 8, 28, 0, 0, time.UTC)

// party is a scheme with its options, and the provider that it talks to with
// the same.
type party struct {
	name      string // of the scheme
	options   []providertest.Setting
	reference string
	path      string
	sample    string // a file in caddyfiles/samples
	provider  provider.Provider
	rejected  func(answer map[string]any) bool // whether the provider says "bad signature"

	signs    providertest.Algorithm // answers
	notifies providertest.Algorithm
	answer   string // without sign
	notice   string // without sign, JSON or a form
}

// The algorithms, as the providers have them.
var (
	rsaSHA256 = providertest.RSA
	md5Plain  = providertest.MD5
	md5Key    = providertest.MD5WithKey
	hmac256   = providertest.HMACSHA256
)

func is(member, want string) func(map[string]any) bool {
	return func(answer map[string]any) bool {
		switch value := answer[member].(type) {
		case string:
			return len(value) >= len(want) && value[:len(want)] == want
		case json.Number:
			return value.String() == want
		default:
			return false
		}
	}
}

// parties are all schemes, some of them more than once.
var parties = func() []party {
	easy := party{
		name: "easypay", reference: "easypay/ORG000000000007", path: "/ledger/mpos", sample: "easypay.json",
		provider: easypay.New(), rejected: is("sysRetCode", "0000A0"), signs: rsaSHA256, notifies: rsaSHA256,
		answer: `{"sysRetCode":"000000","orgId":"ORG000000000007","signType":"SHA256withRSA","bizData":{"oriOrgTrace":"T1","body":"remark","transAmt":"100","list":[{"a":1}],"gone":null,"empty":""}}`,
		notice: `{"orgId":"ORG000000000007","bizData":{"oriOrgTrace":"T1","payerOtherInfo":"remark","transAmt":"100"}}`,
	}
	keep := easy
	keep.options = []providertest.Setting{{"empty", "keep"}, {"padding", "pkcs7"}, {"envelope_prefix", "01|"}}
	keep.provider = &easypay.Provider{Padding: "pkcs7", EnvelopePrefix: "01|", KeepEmpty: true, SignType: "SHA256withRSA", NotificationPart: "bizData"}

	jee := party{
		name: "jeepay", reference: "jeepay/M1623997351", path: "/api/other", sample: "jeepay-exec.json",
		options:  []providertest.Setting{{"mch_no", "M1623997351"}, {"app_id", "60cc09bce4b0f1c0b83761c9"}},
		provider: jeepay.New(), rejected: is("msg", "签名失败"), signs: md5Key, notifies: md5Key,
		answer: `{"code":0,"msg":"SUCCESS","data":{"payOrderId":"P1","amount":100,"subject":"remark","nested":{"a":[1,"b"]},"gone":null,"empty":""}}`,
		notice: "payOrderId=P1&amount=100&subject=remark&reqTime=1700000000123&empty=",
	}
	jeeRSA := jee
	jeeRSA.options = append([]providertest.Setting{{"sign_type", "RSA2"}}, jee.options...)
	jeeRSA.signs = rsaSHA256

	hb := party{
		name: "hbsk", reference: "hbsk/d787d45a68b48", path: "/share/apply", sample: "hbsk.json",
		options:  []providertest.Setting{{"developer_key", "d787d45a68b48"}},
		provider: hbsk.New(), rejected: is("text", "申请失败: 签名错误"), signs: hmac256, notifies: hmac256,
		answer: `{"code":0,"text":"ok","data":"{\"sequence\":\"S1\",\"remark\":\"remark\",\"amount\":1.00}","time":1668672190}`,
		notice: `{"code":0,"data":"{\"sequence\":\"S1\",\"remark\":\"remark\",\"amount\":1.00}","time":1668672190}`,
	}
	hk := party{
		name: "hkrt", reference: "hkrt/405544499f016a9b3d8f57000f", path: "/api/v1/delay-ledger/ledger", sample: "hkrt.json",
		options:  []providertest.Setting{{"access_id", "405544499f016a9b3d8f57000f"}},
		provider: hkrt.New(), rejected: is("return_code", "20001"), signs: md5Plain, notifies: md5Plain,
		answer: `{"apply_no":"A1","amt":0.03,"ledger_relation":[{"receive_no":"R1","amt":0.01,"remark":"remark"},{"receive_no":"R2","amt":0.02,"remark":""}],"object":{"x":["y",null],"z":true},"return_code":10000,"return_msg":null}`,
		notice: `{"apply_no":"A1","agent_no":"FF1","ledger_relation":[{"receive_no":"R1","amt":0.01,"remark":"remark"}]}`,
	}
	hkKeep := hk
	hkKeep.options = append([]providertest.Setting{{"empty_list", "keep"}}, hk.options...)
	hkKeep.provider = &hkrt.Provider{KeepEmptyLists: true}

	hong := party{
		name: "hongwen", reference: "hongwen/2014072300007148", path: "/gateway.do", sample: "hongwen.json",
		options:  []providertest.Setting{{"mch_no", "2014072300007148"}, {"method", "trade.apply.divide.back"}},
		provider: hongwen.New(), rejected: is("code", "40001"), signs: rsaSHA256, notifies: rsaSHA256,
		answer: `{"code":20000,"msg":"remark","divide_back_out_trade_no":"D1","amount":"1.10","divide_back_detail":[{"amount":"0.01"}],"gone":null,"empty":""}`,
		notice: "out_trade_no=D1&attach=remark&total_amount=1.10&sign_type=RSA&empty=",
	}
	return []party{easy, keep, jee, jeeRSA, hb, hk, hkKeep, hong}
}()

// title tells two parties of one scheme apart.
func (p party) title() string {
	title := p.name
	for _, o := range p.options {
		switch o[0] {
		case "empty", "sign_type", "empty_list":
			title += "-" + o[1]
		}
	}
	return title
}

// each runs a test for each party.
func each(t *testing.T, test func(t *testing.T, p party)) {
	t.Helper()
	for _, p := range parties {
		t.Run(p.title(), func(t *testing.T) { test(t, p) })
	}
}

func (p party) scheme(t testing.TB) providertest.Scheme {
	t.Helper()
	return providertest.Configure(t, p.name, p.options...)
}

// held returns the development keys of one side, "merchant" or "provider".
func (p party) held(t testing.TB, side string) *keys.Set {
	t.Helper()
	set, err := (&file.Source{Dir: filepath.Join(repository, "keys-dev", side)}).Load(t.Context(), p.reference, nil)
	require.NoError(t, err)
	return set
}

// ofProvider returns the provider's keys in the standard library's terms.
func (p party) ofProvider(t testing.TB) provider.Keys {
	t.Helper()
	set := p.held(t, "provider")
	var out provider.Keys
	if set.Sign != nil {
		out.Sign = set.Sign.Signer
	}
	if len(set.Decrypt) > 0 {
		out.Decrypt = set.Decrypt[0].Decrypter
	}
	if set.Encrypt != nil {
		out.Encrypt = set.Encrypt.RSA
	}
	for _, key := range set.Verify {
		out.Verify = append(out.Verify, key.RSA)
	}
	for _, secret := range set.VerifySecrets {
		out.Secrets = append(out.Secrets, secret.Bytes())
	}
	return out
}

func (p party) request(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "caddyfiles", "samples", p.sample))
	require.NoError(t, err)
	return text
}

// sign signs a message as the provider does and gives the signature alone.
func (p party) sign(t testing.TB, algorithm providertest.Algorithm, wire providertest.Wire) (string, error) {
	t.Helper()
	text, err := p.scheme(t).Canonical(wire)
	if err != nil {
		return "", err
	}
	sig, err := algorithm.Sign(p.held(t, "provider"), text)
	return sig, err
}

// withSign returns a message with the member sign.
func withSign(t testing.TB, text []byte, sig string) *body.Object {
	t.Helper()
	return parse(t, providertest.WithSign(t, string(text), sig))
}

// parse reads a message that is known to be good.
func parse[T ~string | ~[]byte](t testing.TB, text T) *body.Object {
	t.Helper()
	o, err := body.Parse([]byte(text))
	require.NoError(t, err, "%s", text)
	return o
}

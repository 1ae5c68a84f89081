package guess_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource/file"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/recipe/guess"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func load(t *testing.T, dir, reference string) *keys.Set {
	t.Helper()
	set, err := (&file.Source{Dir: dir}).Load(t.Context(), reference, nil)
	require.NoError(t, err)
	return set
}

func search(t *testing.T, kind message.Kind, set *keys.Set, messages ...*message.Message) *guess.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := guess.Search(ctx, kind, messages, set)
	require.NoError(t, err)
	require.False(t, result.Over)
	return result
}

// compile compiles the block that is printed.
func compile(t *testing.T, r guess.Rule) *recipe.Program {
	t.Helper()
	all, err := providers.Parse("guessed", []byte(r.String()))
	require.NoError(t, err, r.String())
	p, err := recipe.Compile("guessed", all["guessed"], nil)
	require.NoError(t, err, r.String())
	return p
}

// The rules of real providers are found from one message that they have signed.
func TestMessagesOfProviders(t *testing.T) {
	for name, want := range map[string]string{
		"ecpay/messages/notification":        "sorted body except CheckMacValue; prepend \"HashKey={secret.key}&\"; append \"&HashIV={secret.iv}\"; url dotnet; lower",
		"wechatpay-v2/messages/request-md5":  "body.sign md5 hex-upper: sorted body except sign; append \"&key={secret}\"",
		"alipay/messages/answer":             "body.sign rsa-sha256 base64: raw body.alipay_open_file_upload_response",
		"stripe/messages/notification":       "header.Stripe-Signature.v1 hmac-sha256 hex: \"{header.Stripe-Signature.t}.{body}\"",
		"wechatpay-v3/messages/notification": `"{header.Wechatpay-Timestamp}\n{header.Wechatpay-Nonce}\n{body}\n"`,
		"wechatpay-v3/messages/request-get":  `"{method}\n{uri}\n{header.Authorization.timestamp}\n{header.Authorization.nonce_str}\n{body}\n"`,
		"lakala/messages/answer":             `{body}\n"`,
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join("..", "..", "providers", name)
			text, err := os.ReadFile(base + ".json")
			require.NoError(t, err)
			var note struct {
				Kind message.Kind `json:"kind"`
				Ref  string       `json:"ref"`
			}
			require.NoError(t, json.Unmarshal(text, &note))
			set := load(t, filepath.Join(filepath.Dir(filepath.Dir(base)), "keys"), note.Ref)
			m := read(t, base+".http", note.Kind)
			result := search(t, note.Kind, set, m)
			require.NotEmpty(t, result.Fits, result.Searched)
			assert.Contains(t, result.Fits[0].Summary(), want)
			assert.Positive(t, result.Tried)
			p := compile(t, result.Fits[0])
			if note.Kind != message.Request {
				require.NoError(t, direction(p, note.Kind).Format.Read(m))
				_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: time.Now()})
				assert.NoError(t, err)
			}
		})
	}
}

func direction(p *recipe.Program, kind message.Kind) *scheme.Direction {
	if kind == message.Answer {
		return p.Describe().Answer
	}
	return p.Describe().Notification
}

// read reads a message as curl -i shows it.
func read(t *testing.T, name string, kind message.Kind) *message.Message {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	first, rest, _ := bytes.Cut(text, []byte("\r\n"))
	words := strings.Fields(string(first))
	m := message.New(kind)
	if kind == message.Answer {
		m.Status, err = strconv.Atoi(words[1])
		require.NoError(t, err)
	} else {
		m.Method = words[0]
		m.Path, m.Query, _ = strings.Cut(words[1], "?")
	}
	r := bufio.NewReader(bytes.NewReader(rest))
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	require.NoError(t, err)
	m.Header = http.Header(header)
	var wire bytes.Buffer
	_, err = wire.ReadFrom(r)
	require.NoError(t, err)
	m.Wire = wire.Bytes()
	return m
}

const merchant = "../../../keys-dev/merchant"

// What the recipes of the five sign is found again, from requests.
func TestTheFive(t *testing.T) {
	for name, test := range map[string]struct {
		reference, request, want string
		settings                 recipe.Settings
	}{
		"jeepay":  {"jeepay/M1623997351", `{"amount":100,"mchNo":"M1623997351","appId":"a1","receivers":[{"a":1}]}`, `body.sign md5 hex-upper: sorted body except sign; append "&key={secret}"`, nil},
		"RSA2":    {"jeepay/M1623997351", `{"amount":100,"mchNo":"M1623997351","appId":"a1"}`, "body.sign rsa-sha256 base64: sorted body except sign after \"&\"", recipe.Settings{"sign_type": {"RSA2"}}},
		"hkrt":    {"hkrt/405544499f016a9b3d8f57000f", `{"apply_no":"1","list":[{"amt":"1.00","no":"2"},{"amt":"3.00","no":"4"}]}`, `nested recurse; append "{secret}"`, recipe.Settings{"access_id": {"405544499f016a9b3d8f57000f"}}},
		"hongwen": {"hongwen/2014072300007148", `{"biz_content":{"divide_back_out_trade_no":"1"}}`, "body.sign rsa-sha256 base64: sorted body except sign", recipe.Settings{"mch_no": {"2014072300007148"}, "method": {"trade.apply"}}},
		"easypay": {"easypay/ORG000000000007", `{"orgId":"ORG000000000007","bizData":{"oriOrgTrace":"1","transAmt":"2"}}`, "body.sign rsa-sha256 base64: sorted body.bizData", nil},
		"hbsk":    {"hbsk/d787d45a68b48", `{"data":{"sequence":"1"}}`, `body.sign hmac-sha256 hex: sorted body except sign`, recipe.Settings{"developer_key": {"d787d45a68b48"}}},
	} {
		t.Run(name, func(t *testing.T) {
			recipeName := name
			if name == "RSA2" {
				recipeName = "jeepay"
			}
			r, ok := providers.Find(recipeName)
			require.True(t, ok)
			p, err := recipe.Compile(recipeName, r, test.settings)
			require.NoError(t, err)
			set := load(t, merchant, test.reference)
			var sent []*message.Message
			for i := range 2 {
				plain := message.New(message.Request)
				plain.Method, plain.Path = "POST", "/pay"
				o, err := body.Parse([]byte(strings.Replace(test.request, `"1"`, `"`+strconv.Itoa(1000+i)+`"`, 1)))
				require.NoError(t, err)
				plain.SetPayload(o)
				sealed, err := scheme.Seal(p, scheme.Request{Message: plain, Keys: set, Now: time.Now().Add(time.Duration(i) * time.Hour)})
				require.NoError(t, err)
				sent = append(sent, sealed.Message)
			}
			result := search(t, message.Request, set, sent...)
			require.NotEmpty(t, result.Fits, result.Searched)
			assert.Contains(t, result.Fits[0].Summary(), test.want)
			compile(t, result.Fits[0])
		})
	}
}

// A message that nobody with these keys has signed fits nothing, and what was
// searched is said.
func TestNothingFits(t *testing.T) {
	set := load(t, merchant, "hkrt/405544499f016a9b3d8f57000f")
	m := message.New(message.Notification)
	m.Wire = []byte(`{"amt":"1","sign":"00112233445566778899AABBCCDDEEFF"}`)
	result := search(t, message.Notification, set, m)
	assert.Empty(t, result.Fits)
	assert.Positive(t, result.Tried)
	require.NotEmpty(t, result.Searched)
	assert.Contains(t, result.Searched[0], "body.sign, 16 bytes in hex-upper: md5, hmac-md5")

	m.Wire = []byte(`{"amt":"1"}`)
	result = search(t, message.Notification, set, m)
	assert.Contains(t, result.Searched[0], "no member, no header and no parameter looks like a signature")
	_, err := guess.Search(t.Context(), message.Answer, nil, set)
	assert.ErrorContains(t, err, "at least one message")
}

// Where nothing fits, an RSA signature says whether the key is right, and what was signed.
func TestNothingFitsUnderAKeyThatIsRight(t *testing.T) {
	set := load(t, merchant, "easypay/ORG000000000007")
	sum := sha256.Sum256([]byte("a text that nobody guesses"))
	signature, err := set.Sign.Signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	require.NoError(t, err)
	m := message.New(message.Request)
	m.Wire = []byte(`{"amt":"1","sign":"` + base64.StdEncoding.EncodeToString(signature) + `"}`)
	result := search(t, message.Request, set, m)
	assert.Empty(t, result.Fits)
	assert.Contains(t, result.Said, "the key is right")
	assert.Contains(t, result.Said, "sha256 "+hex.EncodeToString(sum[:]))

	m.Kind = message.Notification // the provider's key has not made it
	result = search(t, message.Notification, set, m)
	assert.NotEmpty(t, result.Said)
	assert.NotContains(t, result.Said, "the key is right")
}

// The second message leaves out what fits the first one by chance.
func TestTwoMessages(t *testing.T) {
	set := load(t, merchant, "hkrt/405544499f016a9b3d8f57000f")
	r, _ := providers.Find("hkrt")
	p, err := recipe.Compile("hkrt", r, nil)
	require.NoError(t, err)
	seal := func(text string) *message.Message {
		m := message.New(message.Request)
		o, err := body.Parse([]byte(text))
		require.NoError(t, err)
		m.SetPayload(o)
		sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: time.Now()})
		require.NoError(t, err)
		return sealed.Message
	}
	one := search(t, message.Request, set, seal(`{"A":"1","b":"2"}`))
	two := search(t, message.Request, set, seal(`{"A":"1","b":"2"}`), seal(`{"a":"1","B":"2","c":""}`))
	assert.Greater(t, len(one.Fits), len(two.Fits))
	require.NotEmpty(t, two.Fits)
	assert.Equal(t, `body.sign md5 hex-upper: sorted body except sign; append "{secret}"`, two.Fits[0].Summary())
}

// Bare values are found where the signature stands beside them in the body.
func TestValuesBesideTheSignature(t *testing.T) {
	secret := keys.NewSecret([]byte("s3cret"), "a test")
	set := &keys.Set{Reference: "test", Secret: secret, VerifySecrets: []*keys.Secret{secret}}
	var messages []*message.Message
	for members, text := range map[string]string{
		`"order":"1","amount":"1.10","z":""`: "1.10|1||s3cret",
		`"order":"22","b":"y","amount":"3"`:  "3|y|22|s3cret",
	} {
		sum := sha1.Sum([]byte(text))
		o, err := body.Parse([]byte(`{` + members + `,"sign":"` + hex.EncodeToString(sum[:]) + `"}`))
		require.NoError(t, err)
		m := message.New(message.Notification)
		m.Method, m.Wire = http.MethodPost, o.Source()
		messages = append(messages, m)
	}
	result := search(t, message.Notification, set, messages...)
	require.NotEmpty(t, result.Fits, "%d tried: %s", result.Tried, result.Searched)
	assert.Contains(t, result.Fits[0].Summary(), `values sorted of body join "|" except sign empty keep; append "|{secret}"`)
	compile(t, result.Fits[0])
}

// The digest of a digest with the secret, and bare values with nested ones among them,
// are found among the plain candidates: in seconds.
func TestADigestOfADigest(t *testing.T) {
	secret := keys.NewSecret([]byte("s3cret"), "a test")
	set := &keys.Set{Reference: "test", Secret: secret, VerifySecrets: []*keys.Secret{secret}}
	md := func(text string) string {
		sum := md5.Sum([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	const pairs, values = `amount=1.10&goods={"n":2}&order=1`, `1.10{"n":2}1`
	for want, sum := range map[string]string{
		`md5 hex: sorted body except sign nested json; append "{secret}"; md5 hex`:                  md(md(pairs + "s3cret")),
		`md5 hex: sorted body except sign nested json; append "&key={secret}"; md5 hex-upper`:       md(strings.ToUpper(md(pairs + "&key=s3cret"))),
		`md5 hex-upper: sorted body except sign nested json; md5 hex-upper; append "&key={secret}"`: strings.ToUpper(md(strings.ToUpper(md(pairs)) + "&key=s3cret")),
		`md5 hex: sorted body except sign nested json; md5 hex; append "{secret}"`:                  md(md(pairs) + "s3cret"),
		`md5 hex: values sorted of body join "" nested json except sign; append "{secret}"`:         md(values + "s3cret"),
	} {
		m := message.New(message.Notification)
		m.Method, m.Wire = http.MethodPost, []byte(`{"order":"1","amount":1.10,"goods":{"n":2},"blank":"","sign":"`+sum+`"}`)
		result := search(t, message.Notification, set, m)
		require.NotEmpty(t, result.Fits, want)
		assert.Contains(t, result.Fits[0].Summary(), want)
		compile(t, result.Fits[0])
	}
}

// A key in front, a signature behind the name of its digest, and one in the query beside
// a body are found, and what is printed is a recipe that loads.
func TestUnusualPlaces(t *testing.T) {
	secret := keys.NewSecret([]byte("s3cret"), "a test")
	set := &keys.Set{Reference: "test", Secret: secret, VerifySecrets: []*keys.Secret{secret}}
	md := func(text string) string {
		sum := md5.Sum([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	const body = `{"order":"1","amount":"1.10","list":[1,2],"x":{"y":"z"},"note":""}`
	const pairs = "amount=1.10&order=1"
	for want, in := range map[string]struct{ query, header, body string }{
		`body.sign md5 hex: sorted body except sign; prepend "{secret}"; refuse extension`:      {"", "", `{"order":"1","amount":"1.10","sign":"` + md("s3cret"+pairs) + `"}`},
		`body.sign md5 hex: sorted body except sign; prepend "key={secret}&"; refuse extension`: {"", "", `{"order":"1","amount":"1.10","sign":"` + md("key=s3cret&"+pairs) + `"}`},
		`header.X-Signature.md5 md5 hex: "{body}"; append "{secret}"`:                           {"", "md5=" + md(body+"s3cret"), body},
		`query.sign md5 hex: "{body}"; append "{secret}"`:                                       {"sign=" + md(body+"s3cret"), "", body},
		`query.sign md5 hex: "{query.timestamp}{body}"; append "{secret}"`:                      {"timestamp=1700000000&sign=" + md("1700000000"+body+"s3cret"), "", body},
		`query.sign md5 hex: sorted query except sign; append "{body}"; append "{secret}"`:      {"shop=a&app=b&sign=" + md("app=b&shop=a"+body+"s3cret"), "", body},
	} {
		for _, kind := range []message.Kind{message.Notification, message.Request} {
			m := message.New(kind)
			m.Method, m.Path, m.Query, m.Wire = http.MethodPost, "/notify", in.query, []byte(in.body)
			if in.header != "" {
				m.Header.Set("X-Signature", in.header)
			}
			result := search(t, kind, set, m)
			require.NotEmpty(t, result.Fits, "%s: %s", want, result.Searched)
			assert.Equal(t, want, result.Fits[0].Summary())
			compile(t, result.Fits[0])
		}
	}
}

// Texts that few providers sign are found too, from one message, and what is printed is a
// recipe that loads.
func TestRareTexts(t *testing.T) {
	const hexSecret = "00112233445566778899aabbccddeeff"
	secret := keys.NewSecret([]byte(hexSecret), "a test")
	set := &keys.Set{Reference: "test", Secret: secret, VerifySecrets: []*keys.Secret{secret}}
	md := func(text string) string {
		sum := md5.Sum([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	mac := func(key, text string) string {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return hex.EncodeToString(h.Sum(nil))
	}
	digest := sha256.Sum256([]byte(`{"order":"1"}`))
	raw, err := hex.DecodeString(hexSecret)
	require.NoError(t, err)
	const members, order = `"order":"2 3","amount":"1.10","Name":"x~",`, `{"order":"1"}`
	for want, in := range map[string]struct{ header, sum, body string }{
		`md5 hex: sorted body except sign order message; append "&key={secret}"`:                    {"", md("order=2 3&amount=1.10&Name=x~&key=" + hexSecret), members},
		`md5 hex: sorted body except sign escape rfc3986; append "{secret}"`:                        {"", md("Name=x~&amount=1.10&order=2%203" + hexSecret), members},
		`md5 hex: sorted body except sign order message escape java; append "&passphrase={secret}"`: {"", md("order=2+3&amount=1.10&Name=x%7E&passphrase=" + hexSecret), members},
		`md5 hex: "{body.order}+{body.amount}+{body.Name}"; append "+{secret}"`:                     {"", md("2 3+1.10+x~+" + hexSecret), members},
		`md5 hex: values sorted of body join ; except sign; prepend "{secret};"; refuse extension`:  {"", md(hexSecret + ";x~;1.10;2 3"), members},
		`md5 hex: sorted body except sign with key "{secret}"`:                                      {"", md("Name=x~&amount=1.10&key=" + hexSecret + "&order=2 3"), members},
		`md5 hex: sorted body except sign after "{secret}"; prepend "{secret}"`:                     {"", md(hexSecret + "Name=x~" + hexSecret + "amount=1.10" + hexSecret + "order=2 3" + hexSecret), members},
		`md5 hex: sorted body except sign; upper; append "{secret}"`:                                {"", md("NAME=X~&AMOUNT=1.10&ORDER=2 3" + hexSecret), members},
		`hmac-sha256 hex secret hex: sorted body except sign`:                                       {"", mac(string(raw), "Name=x~&amount=1.10&order=2 3"), members},
		`header.X-Sign hmac-sha256 hex secret hex: "{body}"`:                                        {"%s", mac(string(raw), order), order},
		`header.X-Sign hmac-sha256 hex: "{header.X-Time}{text.inner}"; inner: "{body}"; sha256 hex`: {"%s", mac(hexSecret, "1700000000"+hex.EncodeToString(digest[:])), order},
		`header.X-Sign behind " " md5 hex: "{body}"; append "{secret}"`:                             {"SN1 %s", md(order + hexSecret), order},
		`header.X-Sign behind ":" hmac-sha256 hex: "{method}\n{path}\n{header.X-Time}\n{body}"`:     {"HMAC me:%s", mac(hexSecret, "POST\n/notify\n1700000000\n"+order), order},
	} {
		for _, kind := range []message.Kind{message.Notification, message.Request} {
			if kind == message.Request && in.header == "" {
				continue // of what stands in the body the text is the same
			}
			m := message.New(kind)
			m.Method, m.Path, m.Wire = http.MethodPost, "/notify", []byte(in.body)
			if in.header != "" {
				m.Header.Set("X-Sign", strings.Replace(in.header, "%s", in.sum, 1))
				m.Header.Set("X-Time", "1700000000")
			} else {
				m.Wire = []byte("{" + in.body + `"sign":"` + in.sum + `"}`)
			}
			result := search(t, kind, set, m)
			require.NotEmpty(t, result.Fits, "%s: %s", want, result.Searched)
			var all []string
			for _, r := range result.Fits {
				all = append(all, r.Summary())
			}
			assert.Contains(t, strings.Join(all, "\n"), want)
			p := compile(t, result.Fits[0])
			if kind == message.Notification {
				require.NoError(t, p.Describe().Notification.Format.Read(m))
				_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: time.Now()})
				assert.NoError(t, err, result.Fits[0].String())
			}
		}
	}
}

// A header with several signatures fits if one of them verifies, and of two secrets
// either may.
func TestSeveralSignaturesAndSecrets(t *testing.T) {
	one, two := keys.NewSecret([]byte("first secret"), "a test"), keys.NewSecret([]byte("second secret"), "a test")
	set := &keys.Set{Reference: "test", Secret: one, VerifySecrets: []*keys.Secret{one, two}}
	h := hmac.New(sha256.New, []byte("second secret"))
	h.Write([]byte(`1700000000.{"order":"1"}`))
	for _, set := range []*keys.Set{set, {Reference: "test", Secret: two, VerifySecrets: []*keys.Secret{two}}} {
		m := message.New(message.Notification)
		m.Method, m.Path, m.Wire = http.MethodPost, "/notify", []byte(`{"order":"1"}`)
		m.Header.Set("X-Signature", "t=1700000000,v1="+strings.Repeat("ab", 32)+",v1="+hex.EncodeToString(h.Sum(nil)))
		result := search(t, message.Notification, set, m)
		require.NotEmpty(t, result.Fits, result.Searched)
		assert.Equal(t, `header.X-Signature.v1 hmac-sha256 hex: "{header.X-Signature.t}.{body}"`, result.Fits[0].Summary())
	}
}

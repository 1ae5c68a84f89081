package diagnosis_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource/file"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

const (
	easypayRef = "easypay/ORG000000000007"
	jeepayRef  = "jeepay/M1623997351"
	hkrtRef    = "hkrt/405544499f016a9b3d8f57000f"
	hbskRef    = "hbsk/d787d45a68b48"
)

// load loads a development key set of a side, "merchant" or "provider".
func load(t *testing.T, side, reference string) *keys.Set {
	t.Helper()
	source := &file.Source{Dir: filepath.Join("..", "..", "..", "keys-dev", side)}
	set, err := source.Load(t.Context(), reference, nil)
	require.NoError(t, err)
	return set
}

// signed returns what the provider signs of a text.
func signed(t *testing.T, set *keys.Set, text string) string {
	t.Helper()
	sig, err := providertest.RSA.Sign(set, []byte(text))
	require.NoError(t, err)
	return sig
}

// md5Of returns an upper-case MD5.
func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func gbk(t *testing.T, text string) string {
	t.Helper()
	out, err := simplifiedchinese.GBK.NewEncoder().String(text)
	require.NoError(t, err)
	return out
}

func would(t *testing.T, r diagnosis.Recipe, kind message.Kind, set *keys.Set, text string) []string {
	t.Helper()
	s, err := r.Configure()
	require.NoError(t, err)
	m, err := diagnosis.Read(s, kind, []byte(text))
	require.NoError(t, err)
	_, err = diagnosis.Open(s, m, set, time.Now(), nil)
	require.Error(t, err, "as configured it must not open")
	out := []string{}
	variations, _ := diagnosis.WouldOpen(r, m, set, time.Now(), false)
	for _, v := range variations {
		out = append(out, v.String())
	}
	return out
}

func easypayAnswer(sig string) string {
	return fmt.Sprintf(`{"sysRetCode":"000000","sign":"%s","bizData":{"tradeRetMsg":"分账成功","memo":"","transAmt":"1"}}`, sig)
}

func TestWouldOpenNamesTheOption(t *testing.T) {
	merchant, provider := load(t, "merchant", easypayRef), load(t, "provider", easypayRef)
	answer := easypayAnswer(signed(t, provider, "memo=&tradeRetMsg=分账成功&transAmt=1"))
	assert.Equal(t, []string{"with: --set empty=keep"},
		would(t, diagnosis.Recipe{Scheme: "easypay"}, message.Answer, merchant, answer))
}

func TestWouldOpenNamesTheKey(t *testing.T) {
	merchant, provider := load(t, "merchant", easypayRef), load(t, "provider", easypayRef)
	two := *merchant
	two.Verify = []*keys.PublicKey{merchant.Encrypt, merchant.Verify[0]}
	answer := easypayAnswer(signed(t, provider, "memo=&tradeRetMsg=分账成功&transAmt=1"))
	assert.Equal(t, []string{"with: --set empty=keep, with key 2 of verify (" + merchant.Verify[0].Fingerprint + ")"},
		would(t, diagnosis.Recipe{Scheme: "easypay"}, message.Answer, &two, answer))
}

func TestWouldOpenNamesTheCharset(t *testing.T) {
	merchant, provider := load(t, "merchant", easypayRef), load(t, "provider", easypayRef)
	r := diagnosis.Recipe{Scheme: "easypay"}

	answer := easypayAnswer(signed(t, provider, gbk(t, "tradeRetMsg=分账成功&transAmt=1")))
	found := would(t, r, message.Answer, merchant, answer)
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "if the provider signs GBK")
	assert.NotContains(t, found[0], "--set")

	answer = easypayAnswer(signed(t, provider, gbk(t, "memo=&tradeRetMsg=分账成功&transAmt=1")))
	found = would(t, r, message.Answer, merchant, answer)
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "with: --set empty=keep, if the provider signs GBK")
}

func TestWouldOpenNamesAMisplacedKey(t *testing.T) {
	merchant, provider := load(t, "merchant", easypayRef), load(t, "provider", easypayRef)
	r := diagnosis.Recipe{Scheme: "easypay"}
	const text = "tradeRetMsg=分账成功&transAmt=1"

	// The provider's one key was put into encrypt.pem, another into verify.pem.
	swapped := *merchant
	swapped.Verify, swapped.Encrypt = []*keys.PublicKey{merchant.Encrypt}, merchant.Verify[0]
	assert.Equal(t, []string{"with the key of encrypt (" + swapped.Encrypt.Fingerprint + ") as verify"},
		would(t, r, message.Answer, &swapped, easypayAnswer(signed(t, provider, text))))

	// It is the merchant's own message.
	assert.Equal(t, []string{"with your own sign key (" + merchant.Sign.Fingerprint + ") as verify"},
		would(t, r, message.Answer, merchant, easypayAnswer(signed(t, merchant, text))))
}

func TestWouldOpenNamesTheAlgorithm(t *testing.T) {
	merchant, provider := load(t, "merchant", jeepayRef), load(t, "provider", jeepayRef)
	const text = "amount=100&state=2&"
	answer := fmt.Sprintf(`{"code":0,"msg":"SUCCESS","data":{"amount":100,"state":2},"sign":"%s"}`, signed(t, provider, text))
	assert.Equal(t, []string{"with: --set sign_type=RSA2"},
		would(t, diagnosis.Recipe{Scheme: "jeepay"}, message.Answer, merchant, answer))

	// With only the key that RSA2 needs it is the same.
	bare := *merchant
	bare.Secret, bare.VerifySecrets, bare.Sign = nil, nil, nil
	assert.Equal(t, []string{"with: --set sign_type=RSA2"},
		would(t, diagnosis.Recipe{Scheme: "jeepay"}, message.Answer, &bare, answer))

	// The other way round, over what was set.
	secret := string(merchant.Secret.Bytes())
	answer = fmt.Sprintf(`{"code":0,"data":{"amount":100,"state":2},"sign":"%s"}`, md5Of(text+"key="+secret))
	assert.Equal(t, []string{"with: --set sign_type=MD5"},
		would(t, diagnosis.Recipe{Scheme: "jeepay", Settings: []diagnosis.Setting{{Option: "sign_type", Value: "RSA2"}}}, message.Answer, merchant, answer))
}

func TestWouldOpenNamesTwoOptions(t *testing.T) {
	merchant := load(t, "merchant", hkrtRef)
	secret := string(merchant.Secret.Bytes())
	answer := fmt.Sprintf(`{"amt":1.00,"list":[],"return_code":"10000","sign":"%s"}`, md5Of("amt=1&list=&return_code=10000"+secret))
	assert.Equal(t, []string{"with: --set empty_list=keep --set numbers=shortest"},
		would(t, diagnosis.Recipe{Scheme: "hkrt"}, message.Answer, merchant, answer))
}

func TestWouldOpenNamesASecretWithWhiteSpace(t *testing.T) {
	merchant := load(t, "merchant", hkrtRef)
	answer := fmt.Sprintf(`{"amt":"1","sign":"%s"}`, md5Of("amt=1"+string(merchant.Secret.Bytes())))
	pasted := *merchant
	pasted.Secret = keys.NewSecret([]byte(string(merchant.Secret.Bytes())+" "), "file secret")
	pasted.VerifySecrets = []*keys.Secret{pasted.Secret}
	found := would(t, diagnosis.Recipe{Scheme: "hkrt"}, message.Answer, &pasted, answer)
	assert.Equal(t, []string{"with the secret " + pasted.Secret.Fingerprint + " without the white space at its ends"}, found)
	assert.NotContains(t, found[0], string(merchant.Secret.Bytes()))
}

func TestWouldOpenNamesASecretThatIsOnlyAccepted(t *testing.T) {
	merchant := load(t, "merchant", hkrtRef)
	old := keys.NewSecret([]byte("the-old-secret"), "file verify_secret")
	rotated := *merchant
	rotated.VerifySecrets = []*keys.Secret{merchant.Secret, old}
	answer := fmt.Sprintf(`{"amt":1.00,"sign":"%s"}`, md5Of("amt=1the-old-secret"))
	assert.Equal(t, []string{"with: --set numbers=shortest, with the secret " + old.Fingerprint},
		would(t, diagnosis.Recipe{Scheme: "hkrt"}, message.Answer, &rotated, answer))
}

func TestWouldOpenFindsNothingInAForgery(t *testing.T) {
	merchant := load(t, "merchant", easypayRef)
	assert.Empty(t, would(t, diagnosis.Recipe{Scheme: "easypay"}, message.Answer, merchant, easypayAnswer("AAAA")))
	merchant = load(t, "merchant", jeepayRef)
	assert.Empty(t, would(t, diagnosis.Recipe{Scheme: "jeepay"}, message.Notification, merchant, "amount=1&sign="+md5Of("amount=1&key=guess")))
}

// A message of a MiB does not have every variation tried, of which there are hundreds;
// the small ones have.
func TestWouldOpenIsBounded(t *testing.T) {
	merchant := load(t, "merchant", hbskRef)
	r := diagnosis.Recipe{Scheme: "hbsk"}
	s, err := r.Configure()
	require.NoError(t, err)
	for size, all := range map[int]bool{2 << 10: true, 1 << 20: false} {
		m, err := diagnosis.Read(s, message.Answer, []byte(`{"code":"1","data":"`+strings.Repeat("x", size)+`","text":"","time":"1","sign":"00"}`))
		require.NoError(t, err)
		found, untried := diagnosis.WouldOpen(r, m, merchant, time.Now(), false)
		assert.Empty(t, found)
		assert.Equal(t, !all, slices.Contains(untried, "the message is too large for all of them"), "%d bytes", size)
	}
}

func TestWouldOpenANotification(t *testing.T) {
	merchant := load(t, "merchant", jeepayRef)
	secret := string(merchant.Secret.Bytes())
	found := would(t, diagnosis.Recipe{Scheme: "jeepay"}, message.Notification, merchant,
		"subject=%E5%88%86%E8%B4%A6&sign="+md5Of(gbk(t, "subject=分账&")+"key="+secret))
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "GBK")
}

func TestWouldOpenDecrypts(t *testing.T) {
	merchant, provider := load(t, "merchant", easypayRef), load(t, "provider", easypayRef)
	// The provider puts a prefix before the key, which nobody has configured.
	request := `{"bizData":{"orderSubDetails":[{"transAmt":"1"}]}}`
	other := diagnosis.Recipe{Scheme: "easypay", Settings: []diagnosis.Setting{{Option: "padding", Value: "zero"}}}
	s, err := other.Configure()
	require.NoError(t, err)
	m, err := diagnosis.Read(s, message.Request, []byte(request))
	require.NoError(t, err)
	sealed, err := scheme.Seal(s, scheme.Request{Message: m, Keys: provider, Now: time.Now()})
	require.NoError(t, err)

	// Under padding "none" the zeros at the end are a part of the text, which is
	// then no JSON.
	r := diagnosis.Recipe{Scheme: "easypay", Settings: []diagnosis.Setting{{Option: "padding", Value: "pkcs7"}}}
	s, err = r.Configure()
	require.NoError(t, err)
	m, err = diagnosis.Read(s, message.Answer, sealed.Message.Wire)
	require.NoError(t, err)
	opened, err := diagnosis.Open(s, m, merchant, time.Now(), nil)
	require.NoError(t, err)
	require.Contains(t, opened.Note().String(), "not decryptable")
	var found []string
	variations, _ := diagnosis.WouldOpen(r, m, merchant, time.Now(), true)
	for _, v := range variations {
		found = append(found, v.String())
	}
	assert.Contains(t, found, "with: --set padding=space")
	assert.Contains(t, found, "with: --set padding=zero")
}

func TestWouldEqual(t *testing.T) {
	r := diagnosis.Recipe{Scheme: "hkrt"}
	s, err := r.Configure()
	require.NoError(t, err)
	m, err := diagnosis.Read(s, message.Answer, []byte(`{"amt":1.00,"list":[]}`))
	require.NoError(t, err)
	for theirs, want := range map[string][]string{
		"amt=1":          {"with: --set numbers=shortest"},
		"amt=1.00&list=": {"with: --set empty_list=keep"},
		"amt=1&list=":    {"with: --set empty_list=keep --set numbers=shortest"},
		"amt=2":          nil,
	} {
		var found []string
		for _, v := range diagnosis.WouldEqual(r, m, []byte(theirs)) {
			found = append(found, v.String())
		}
		assert.Equal(t, want, found, theirs)
	}
}

// An option for requests is tried on a request, and not on an answer.
func TestWouldEqualOfARequest(t *testing.T) {
	r := diagnosis.Recipe{Scheme: "hbsk"}
	s, err := r.Configure()
	require.NoError(t, err)
	for kind, want := range map[message.Kind]string{
		message.Request: "with: --set 'message={key}{time}{data}'",
		message.Answer:  "with: --set 'response_message={key}{time}{data}'",
	} {
		m, err := diagnosis.Read(s, kind, []byte(`{"data":"D","key":"k","time":7}`))
		require.NoError(t, err)
		found := diagnosis.WouldEqual(r, m, []byte("k7D"))
		require.NotEmpty(t, found)
		assert.Equal(t, want, found[0].String())
	}
}

func TestConfigure(t *testing.T) {
	for name, test := range map[string]struct {
		scheme   string
		settings []string
		want     string
	}{
		"unknown scheme":        {"nobody", nil, "unknown scheme \"nobody\"; known are"},
		"unknown option":        {"easypay", []string{"emty=keep"}, "unknown option \"emty\"; easypay has encrypt, padding,"},
		"unknown value":         {"easypay", []string{"empty=maybe"}, "empty cannot be \"maybe\"; it is one of skip, keep"},
		"given twice":           {"easypay", []string{"empty=keep", "empty=skip"}, "the option empty is given twice"},
		"options that conflict": {"easypay", []string{"encrypt=dgtlEnvlp"}, "in which its key travels"},
	} {
		t.Run(name, func(t *testing.T) {
			r := diagnosis.Recipe{Scheme: test.scheme}
			for _, text := range test.settings {
				set, err := diagnosis.ParseSetting(text)
				require.NoError(t, err)
				r.Settings = append(r.Settings, set)
			}
			_, err := r.Configure()
			assert.ErrorContains(t, err, test.want)
		})
	}
	for _, text := range []string{"empty", "=keep", ""} {
		_, err := diagnosis.ParseSetting(text)
		assert.ErrorContains(t, err, "--set takes option=value", text)
	}
}

func TestReadSaysWhatAMessageIs(t *testing.T) {
	s, err := diagnosis.Recipe{Scheme: "jeepay"}.Configure()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		kind       message.Kind
		text, want string
	}{
		"empty":                    {message.Answer, " \n", "it is empty"},
		"GBK":                      {message.Answer, gbk(t, `{"msg":"分账成功"}`), "it is in GBK"},
		"no charset at all":        {message.Answer, "{\"a\":\"\xff\xff\"}", "not in UTF-8"},
		"HTML":                     {message.Answer, "<html></html>", "looks like HTML"},
		"twice the same member":    {message.Answer, `{"a":1,"\u0061":2}`, "the same member name twice"},
		"an array":                 {message.Answer, `[]`, "not a JSON object"},
		"JSON where a form is due": {message.Notification, `{"a":1}`, "sends notifications as a form"},
		"twice the same parameter": {message.Notification, "a=1&%61=2", "twice"},
		"broken encoding":          {message.Notification, "a=%zz", "percent sign"},
		"GBK in a form":            {message.Notification, "a=%B7%D6", "not UTF-8"},
		"an empty form":            {message.Notification, "\n", "the form is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := diagnosis.Read(s, test.kind, []byte(test.text))
			assert.ErrorContains(t, err, test.want)
		})
	}
	w, err := diagnosis.Read(s, message.Answer, []byte("\ufeff{}"))
	require.NoError(t, err, "a mark before an answer is skipped")
	assert.NotNil(t, w.Payload)
	w, err = diagnosis.Read(s, message.Notification, []byte("https://shop.example/notify?a=1+2&b=%26\n"))
	require.NoError(t, err)
	assert.Equal(t, `{"a":"1 2","b":"&"}`, string(w.Payload.Text()))
}

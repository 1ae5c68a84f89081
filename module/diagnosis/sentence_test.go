package diagnosis_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

const recipes = `
recipe rsa {
	answer {
		verify body.sign rsa-sha256 base64 members
	}
	text members {
		sorted body except sign sign_type
	}
}
recipe md5 {
	answer {
		verify body.sign md5 hex-upper members
	}
	text members {
		sorted body except sign sign_type
		append "&key={secret}"
	}
}
recipe mac {
	answer {
		verify header.X-Sign hmac-sha256 base64 "{header.X-Time}.{body}"
	}
}
`

func load(t *testing.T, name string) scheme.Scheme {
	t.Helper()
	all, err := providers.Parse("test", []byte(recipes))
	require.NoError(t, err)
	p, err := recipe.Compile(name, all[name], nil)
	require.NoError(t, err)
	return p
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}

func sign(t *testing.T, key *rsa.PrivateKey, hash crypto.Hash, text string) string {
	t.Helper()
	h := hash.New()
	h.Write([]byte(text))
	raw, err := rsa.SignPKCS1v15(nil, key, hash, h.Sum(nil))
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(raw)
}

// sentence is the diagnosis of an answer with a signature, which must not open.
func sentence(t *testing.T, s scheme.Scheme, set *keys.Set, signature, text string) string {
	t.Helper()
	m := message.New(message.Answer)
	m.Wire = []byte(text)
	o, err := body.Parse([]byte(strings.Replace(text, "SIGNATURE", string(body.AppendQuote(nil, signature)), 1)))
	require.NoError(t, err)
	m.SetPayload(o)
	in := scheme.Incoming{Message: m, Keys: set, Now: time.Now()}
	_, err = scheme.Open(s, in)
	require.Error(t, err)
	return diagnosis.Sentence(s, in, err)
}

const answer = `{"code":"0","amount":"100","memo":"","subject":"分账","sign_type":"RSA2","sign":SIGNATURE}`

func TestRSA(t *testing.T) {
	key, other := newKey(t), newKey(t)
	set := &keys.Set{
		Verify: []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "file verify.pem")},
		Sign:   keys.NewPrivateKey(other, other, &other.PublicKey, "file sign.pem"),
	}
	const text = "amount=100&code=0&subject=分账"
	right := sign(t, key, crypto.SHA256, text)
	for !strings.Contains(right, "+") { // one signature of two hundred
		key = newKey(t)
		set.Verify = []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "file verify.pem")}
		right = sign(t, key, crypto.SHA256, text)
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(text)
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(right)
	require.NoError(t, err)
	for name, test := range map[string]struct{ signature, want string }{
		"a lost plus":         {strings.ReplaceAll(right, "+", " "), "a blank where Base64 has a +: the sender did not escape it as %2B; apart from that it is right"},
		"escaped twice":       {strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(right), "escaped twice: it still has %2B, %2F or %3D in it; apart from that it is right"},
		"padding lost":        {strings.TrimRight(right, "="), "has lost its padding (=); apart from that it is right"},
		"quotes":              {`"` + right + `"`, "around it; apart from that it is right"},
		"hexadecimal":         {hex.EncodeToString(raw), "is hexadecimal, and the recipe expects base64; apart from that it is right"},
		"the URL alphabet":    {base64.URLEncoding.EncodeToString(raw), "URL-safe alphabet"},
		"no Base64":           {"<html>", "is not base64"},
		"another hash":        {sign(t, key, crypto.SHA1, text), "the key and the text are right, but the signature is rsa-sha1 and the recipe has rsa-sha256"},
		"one member more":     {sign(t, key, crypto.SHA256, "amount=100&code=0&sign_type=RSA2&subject=分账"), "with the member sign_type, which the recipe leaves out"},
		"one member less":     {sign(t, key, crypto.SHA256, "amount=100&subject=分账"), "without the member code"},
		"an empty member":     {sign(t, key, crypto.SHA256, "amount=100&code=0&memo=&subject=分账"), "with the member memo"},
		"GBK":                 {sign(t, key, crypto.SHA256, gbk), "in GBK"},
		"an & at the end":     {sign(t, key, crypto.SHA256, text+"&"), "with an & at its end"},
		"another order":       {sign(t, key, crypto.SHA256, "code=0&amount=100&subject=分账"), "in the order in which its members came"},
		"URL-encoded":         {sign(t, key, crypto.SHA256, "amount=100&code=0&subject=%E5%88%86%E8%B4%A6"), "with URL-encoded values"},
		"our own key":         {sign(t, other, crypto.SHA256, text), "the key that stands in the role your own sign"},
		"a key of nobody":     {sign(t, newKey(t), crypto.SHA256, text), "no key of this set has made the signature"},
		"another text":        {sign(t, key, crypto.SHA256, "something=else"), "the key is right, but the provider has signed another text"},
		"cut off":             {base64.StdEncoding.EncodeToString(raw[:128]), "has 1024 bits"},
		"another hash, more":  {sign(t, key, crypto.SHA1, text+"&"), "with an & at its end, the signature is rsa-sha1"},
		"as it came, all":     {sign(t, key, crypto.SHA256, "amount=100&code=0&memo=&sign_type=RSA2&subject=分账"), "with every member but the signature"},
		"a member of nothing": {sign(t, key, crypto.SHA256, ""), "another text"},
	} {
		t.Run(name, func(t *testing.T) {
			got := sentence(t, load(t, "rsa"), set, test.signature, answer)
			assert.Contains(t, got, test.want)
			assert.NotContains(t, got, "分账")
			assert.NotContains(t, got, right[:16])
		})
	}
}

func TestSecrets(t *testing.T) {
	set := &keys.Set{Secret: keys.NewSecret([]byte("s3cret \n"), "file secret")}
	set.VerifySecrets = []*keys.Secret{set.Secret}
	digest := func(text string) string {
		sum := md5.Sum([]byte(text))
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	}
	sha := sha1.Sum([]byte("x"))
	const text = "amount=100&code=0&subject=分账"
	for name, test := range map[string]struct{ signature, want string }{
		"white space":     {digest(text + "&key=s3cret"), "the secret without the white space at its ends"},
		"one member more": {digest("amount=100&code=0&sign_type=RSA2&subject=分账&key=s3cret \n"), "with the member sign_type"},
		"another digest":  {hex.EncodeToString(sha[:]), "has 20 bytes, as SHA-1 makes, and md5 makes 16"},
		"another secret":  {digest(text + "&key=other"), "another secret or over another text"},
		"Base64":          {base64.StdEncoding.EncodeToString(sha[:]), "not hexadecimal"},
	} {
		t.Run(name, func(t *testing.T) {
			got := sentence(t, load(t, "md5"), set, test.signature, answer)
			assert.Contains(t, got, test.want)
			assert.NotContains(t, got, "s3cret")
		})
	}
}

func TestMAC(t *testing.T) {
	set := &keys.Set{Secret: keys.NewSecret([]byte("s3cret"), "file secret")}
	set.VerifySecrets = []*keys.Secret{set.Secret}
	m := message.New(message.Answer)
	m.Wire = []byte(`{"a":1}`)
	m.Header.Set("X-Time", "7")
	h := hmac.New(sha256.New, []byte("s3cret"))
	h.Write([]byte("7.{\"a\":1}\n"))
	m.Header.Set("X-Sign", base64.StdEncoding.EncodeToString(h.Sum(nil)))
	in := scheme.Incoming{Message: m, Keys: set}
	s := load(t, "mac")
	_, err := scheme.Open(s, in)
	require.Error(t, err)
	assert.Equal(t, "the secret is right, and the provider has signed the text with a line feed at its end", diagnosis.Sentence(s, in, err))
	assert.Empty(t, diagnosis.Sentence(s, in, nil))
	assert.Empty(t, diagnosis.Sentence(s, in, scheme.Failf(scheme.Stale, "old")))
}

// A message that is made to keep the diagnosis busy is left after its time.
func TestItIsBounded(t *testing.T) {
	key := newKey(t)
	set := &keys.Set{Verify: []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "")}}
	var members strings.Builder
	for i := range 90 {
		members.WriteString(`"m` + string(rune('a'+i%26)) + strings.Repeat("x", i) + `":"` + strings.Repeat("v", 10<<10) + `",`)
	}
	text := `{` + members.String() + `"sign":SIGNATURE}`
	start := time.Now()
	assert.Contains(t, sentence(t, load(t, "rsa"), set, sign(t, key, crypto.SHA256, "x"), text), "another text")
	assert.Less(t, time.Since(start), 2*time.Second, "an unbounded one takes longer")
}

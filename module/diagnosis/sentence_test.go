package diagnosis_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha3"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/gm"
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
recipe ed25519 {
	answer {
		verify body.sign ed25519 base64 members
	}
	text members {
		sorted body except sign sign_type
	}
}
recipe sm2 {
	answer {
		verify body.sign sm2 base64 members
	}
	text members {
		sorted body except sign sign_type
	}
}
recipe sm2-uid {
	answer {
		verify body.sign sm2 base64 members {
			uid N1
		}
	}
	text members {
		sorted body except sign sign_type
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

// sentence returns the diagnosis of an answer with a signature, which must not open.
func sentence(t *testing.T, s scheme.Scheme, set *keys.Set, signature, text string) string {
	t.Helper()
	in, err := received(t, s, set, signature, text)
	return diagnosis.Sentence(s, in, err).String()
}

// logged is as sentence, for a log.
func logged(t *testing.T, s scheme.Scheme, set *keys.Set, signature, text string) string {
	t.Helper()
	in, err := received(t, s, set, signature, text)
	return diagnosis.NewLog().Sentence(s, in, err).String()
}

// received returns an answer that does not open, and why.
func received(t *testing.T, s scheme.Scheme, set *keys.Set, signature, text string) (scheme.Incoming, error) {
	t.Helper()
	m := message.New(message.Answer)
	m.Wire = []byte(text)
	o, err := body.Parse([]byte(strings.Replace(text, "SIGNATURE", string(body.AppendQuote(nil, signature)), 1)))
	require.NoError(t, err)
	m.SetPayload(o)
	in := scheme.Incoming{Message: m, Keys: set, Now: time.Now()}
	_, err = scheme.Open(s, in)
	require.Error(t, err)
	return in, err
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
	for !strings.Contains(right, "+") || !strings.Contains(right, "/") { // one signature of a hundred
		key = newKey(t)
		set.Verify = []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "file verify.pem")}
		right = sign(t, key, crypto.SHA256, text)
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(text)
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(right)
	require.NoError(t, err)
	reversed := slices.Clone(raw)
	slices.Reverse(reversed)
	digest := sha256.Sum256([]byte("something=else"))
	withPSS := func(key *rsa.PrivateKey) string {
		sum := sha256.Sum256([]byte(text))
		raw, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(raw)
	}
	bare, err := rsa.SignPKCS1v15(nil, key, 0, []byte(text))
	require.NoError(t, err)
	for name, test := range map[string]struct{ signature, want string }{
		"PSS":                  {withPSS(key), "the key is right, but the signature is rsa-pss-sha256 and the recipe has rsa-sha256"},
		"PSS of nobody":        {withPSS(newKey(t)), "no key of this set"},
		"no hash":              {base64.StdEncoding.EncodeToString(bare), "the signature names no hash and the recipe has rsa-sha256"},
		"the digest":           {sign(t, key, crypto.SHA256, "something=else"), "the digest that was signed is sha256 " + hex.EncodeToString(digest[:])},
		"too long":             {strings.Repeat("A", 20<<10), "longer than any"},
		"a lost plus":          {strings.ReplaceAll(right, "+", " "), "a blank where Base64 has a +: the sender did not escape it as %2B; apart from that it is right"},
		"escaped twice":        {strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(right), "escaped twice: it still has %2B, %2F or %3D in it; apart from that it is right"},
		"padding lost":         {strings.TrimRight(right, "="), "has lost its padding (=); apart from that it is right"},
		"quotes":               {`"` + right + `"`, "around it; apart from that it is right"},
		"hexadecimal":          {hex.EncodeToString(raw), "is hexadecimal, and the recipe expects base64; apart from that it is right"},
		"the URL alphabet":     {base64.URLEncoding.EncodeToString(raw), "URL-safe alphabet"},
		"no Base64":            {"<html>", "is not base64"},
		"escapes of HTML":      {strings.NewReplacer("+", "&#43;", "/", "&#x2F;", "=", "&equals;").Replace(right), "escapes of HTML in it, such as &#43; for +; apart from that it is right"},
		"escapes of JSON":      {strings.NewReplacer("+", `\u002b`, "/", `\/`, "=", `\u003D`).Replace(right), "escapes of JSON"},
		"slashes escaped":      {strings.ReplaceAll(right, "/", `\/`), "twice; apart from that it is right"},
		"three times":          {strings.NewReplacer("+", "%252B", "/", "%252F", "=", "%253D").Replace(right), "escaped three times: it still has %252B, %252F or %253D in it; apart from that it is right"},
		"four times":           {strings.NewReplacer("+", "%25252B", "/", "%25252F", "=", "%25253D").Replace(right), "escaped 4 times; apart from that it is right"},
		"Base64 twice":         {base64.StdEncoding.EncodeToString([]byte(right)), "encoded twice: under the base64 there is Base64; apart from that it is right"},
		"Base64 of hex":        {base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(raw))), "under the base64 there is hexadecimal; apart from that it is right"},
		"lower case":           {strings.ToLower(right), "changed to lower case"},
		"upper case":           {strings.ToUpper(right), "changed to upper case"},
		"RSA2 in front":        {"RSA2:" + right, `the signature starts with "RSA2:", which is not part of it; apart from that it is right`},
		"SHA256 in front":      {"SHA256=" + right, `the signature starts with "SHA256=", which is not part of it`},
		"an unknown prefix":    {"A1b2C3d4E5f6G7h8I9j0:" + right, "the signature starts with a name, which is not part of it; apart from that it is right"}, // it may be a part of a signature
		"an LDAP prefix":       {"{SHA256withRSA}" + right, `the signature starts with "{SHA256withRSA}", which is not part of it`},
		"Signature: ":          {"Signature: " + right, `the signature starts with "Signature: ", which is not part of it; apart from that it is right`},
		"every + dropped":      {strings.ReplaceAll(right, "+", ""), "too short"},
		"the first + dropped":  {strings.Replace(right, "+", "", 1), "has lost a +, which was not escaped as %2B; apart from that it is right"},
		"a blank each line":    {right[:64] + " " + right[64:128] + " " + right[128:], "blanks in it, where line breaks were; apart from that it is right"},
		"two things":           {strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(`"`+right, "=")) + `"`, "around it, and the signature is in the URL-safe alphabet: the recipe needs base64url; apart from that it is right"},
		"a zero-width space":   {"\u200b" + right, "invisible characters around it; apart from that it is right"},
		"a full-width plus":    {strings.ReplaceAll(right, "+", "\uff0b"), "it has the character U+FF0B in it"},
		"reverse order":        {base64.StdEncoding.EncodeToString(reversed), "reverse order, as Windows' CryptoAPI makes them; apart from that it is right"},
		"another hash":         {sign(t, key, crypto.SHA1, text), "the key and the text are right, but the signature is rsa-sha1 and the recipe has rsa-sha256"},
		"one member more":      {sign(t, key, crypto.SHA256, "amount=100&code=0&sign_type=RSA2&subject=分账"), "with the member sign_type, which the recipe leaves out"},
		"one member less":      {sign(t, key, crypto.SHA256, "amount=100&subject=分账"), "without the member code"},
		"an empty member":      {sign(t, key, crypto.SHA256, "amount=100&code=0&memo=&subject=分账"), "with the member memo"},
		"GBK":                  {sign(t, key, crypto.SHA256, gbk), "in GBK"},
		"an & at the end":      {sign(t, key, crypto.SHA256, text+"&"), "with an & at its end"},
		"another order":        {sign(t, key, crypto.SHA256, "code=0&amount=100&subject=分账"), "in the order in which its members came"},
		"URL-encoded":          {sign(t, key, crypto.SHA256, "amount=100&code=0&subject=%E5%88%86%E8%B4%A6"), "with URL-encoded values"},
		"our own key":          {sign(t, other, crypto.SHA256, text), "the key that stands in the role your own sign"},
		"a key of nobody":      {sign(t, newKey(t), crypto.SHA256, text), "no key of this set has made the signature"},
		"another text":         {sign(t, key, crypto.SHA256, "something=else"), "the key is right, but the provider has signed another text"},
		"cut off":              {base64.StdEncoding.EncodeToString(raw[:128]), "has 1024 bits"},
		"a hash of few":        {sign(t, key, crypto.SHA3_256, text), "names another hash than those that providers use"},
		"SHA-224":              {sign(t, key, crypto.SHA224, text), "the key and the text are right, but the signature is rsa-sha224"},
		"a digest of a digest": {sign(t, key, crypto.SHA256, hex.EncodeToString(sumOf(text))), "digested to SHA-256 and written in hex first"},
		"blanks as %20":        {sign(t, key, crypto.SHA256, "amount=100&code=0&subject=%e5%88%86%e8%b4%a6"), "with URL-encoded values in lower case"},
		"values alone":         {sign(t, key, crypto.SHA256, "1000分账"), "of the values alone"},
		"joined by nothing":    {sign(t, key, crypto.SHA256, "amount=100code=0subject=分账"), "without &"},
		"reversed":             {sign(t, key, crypto.SHA256, "subject=分账&code=0&amount=100"), "in reverse order"},
		"escaped letters":      {sign(t, key, crypto.SHA256, `amount=100&code=0&subject=\u5206\u8d26`), "escapes for letters outside ASCII"},
		"question marks":       {sign(t, key, crypto.SHA256, "amount=100&code=0&subject=??"), "with question marks"},
		"a line end":           {sign(t, key, crypto.SHA256, text+"\r\n"), "with a carriage return and a line feed at its end"},
		"another hash, more":   {sign(t, key, crypto.SHA1, text+"&"), "with an & at its end, the signature is rsa-sha1"},
		"as it came, all":      {sign(t, key, crypto.SHA256, "amount=100&code=0&memo=&sign_type=RSA2&subject=分账"), "with every member but the signature"},
		"nothing":              {sign(t, key, crypto.SHA256, ""), "the text of nothing at all"},
		"an empty signature":   {sign(t, key, crypto.SHA256, "amount=100&code=0&sign=&subject=分账"), "with its own signature as an empty member"},
		"one at the end":       {sign(t, key, crypto.SHA256, text+"&sign="), "with its own signature as an empty member"},
		"two neighbours":       {sign(t, key, crypto.SHA256, "amount=100&subject=分账&code=0"), "with part 3 of 3 before the one in front of it"},
	} {
		t.Run(name, func(t *testing.T) {
			got := sentence(t, load(t, "rsa"), set, test.signature, answer)
			assert.Contains(t, got, test.want)
			assert.NotContains(t, got, "分账")
			assert.NotContains(t, got, right[:16])
		})
	}
}

func sumOf(text string) []byte { return sumBy(sha256.New(), text) }

func sumBy(h hash.Hash, text string) []byte {
	h.Write([]byte(text))
	return h.Sum(nil)
}

func keyedWith(h func() hash.Hash, key, text string) string {
	return hex.EncodeToString(sumBy(hmac.New(h, []byte(key)), text))
}

var pairs = regexp.MustCompile("..")

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
		"hex in Base64":   {base64.StdEncoding.EncodeToString([]byte(digest(text + "&key=s3cret \n"))), "under the Base64 there is hexadecimal; apart from that it is right"},
		"HMAC":            {keyedWith(sha256.New, "s3cret \n", text+"&key=s3cret \n"), "the secret and the text are right, but the signature is hmac-sha256 and the recipe has md5"},
		"HMAC of less":    {keyedWith(sha256.New, "s3cret \n", text), "without the secret in it; the signature is hmac-sha256 and the recipe has md5"},
		"SHA-1":           {hex.EncodeToString(sumBy(sha1.New(), text+"&key=s3cret \n")), "the secret and the text are right, but the signature is sha1 and the recipe has md5"},
		"secret in front": {digest("s3cret \n" + text), "with <secret> in front of it"},
		"secret behind":   {digest(text + "s3cret \n"), "with <secret> at its end"},
		"no secret":       {digest(text), "the signature is md5 of the text without the secret: anybody can make it"},
		"a prefix":        {"md5=" + digest(text+"&key=s3cret \n"), `the signature starts with "md5=", which is not part of it; apart from that it is right`},
		"0x":              {"0x" + digest(text+"&key=s3cret \n"), `the signature starts with "0x", which is not part of it`},
		"separators":      {strings.TrimRight(pairs.ReplaceAllString(digest(text+"&key=s3cret \n"), "$0:"), ":"), "separators between its digits; apart from that it is right"},
		"hex twice":       {hex.EncodeToString([]byte(digest(text + "&key=s3cret \n"))), "encoded twice: under the hex-upper there is hexadecimal; apart from that it is right"},
		"a digit lost":    {digest(text + "&key=s3cret \n")[1:], "odd number of digits"},
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
	assert.Equal(t, "the secret is right, and the provider has signed the text with a line feed at its end", diagnosis.Sentence(s, in, err).String())
	assert.Empty(t, diagnosis.Sentence(s, in, nil).String())
	assert.Empty(t, diagnosis.Sentence(s, in, scheme.Failf(scheme.Stale, "old")).String())
}

func TestCurves(t *testing.T) {
	seed := sha256.Sum256(nil)
	_, key, err := ed25519.GenerateKey(bytes.NewReader(seed[:]))
	require.NoError(t, err)
	set := &keys.Set{Verify: []*keys.PublicKey{keys.NewPublicKey(key.Public(), "")}}
	over := func(text string) string { return base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(text))) }
	assert.Contains(t, sentence(t, load(t, "ed25519"), set, over("amount=100&code=0&subject=分账&"), answer), "with an & at its end")
	assert.Contains(t, sentence(t, load(t, "ed25519"), set, over("x"), answer), "with another key or over another text than ours")
}

// SM2 signatures come in two forms, and under several user ids.
func TestSM2(t *testing.T) {
	key, err := gm.GenerateKey()
	require.NoError(t, err)
	set := &keys.Set{Verify: []*keys.PublicKey{keys.NewPublicKey(key.Public(), "file verify.pem")}}
	const text = "amount=100&code=0&subject=分账"
	over := func(uid string) []byte {
		der, err := gm.Sign(key, []byte(uid), []byte(text))
		require.NoError(t, err)
		return der
	}
	raw, err := gm.DERToRaw(over(""))
	require.NoError(t, err)
	assert.Contains(t, sentence(t, load(t, "sm2"), set, base64.StdEncoding.EncodeToString(raw), answer), "the key and the text are right, but the signature is sm2-rs and the recipe has sm2")
	assert.Contains(t, sentence(t, load(t, "sm2-uid"), set, base64.StdEncoding.EncodeToString(over("")), answer), "it was made under the user id 1234567812345678")
	assert.Contains(t, sentence(t, load(t, "sm2"), set, base64.StdEncoding.EncodeToString(over("N0")), answer), "with another key or over another text than ours")
}

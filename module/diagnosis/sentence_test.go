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
recipe ed25519 {
	answer {
		verify body.sign ed25519 base64 members
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

// sentence is the diagnosis of an answer with a signature, which must not open.
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

// received is an answer that does not open, and why.
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
	for !strings.Contains(right, "+") { // one signature of two hundred
		key = newKey(t)
		set.Verify = []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "file verify.pem")}
		right = sign(t, key, crypto.SHA256, text)
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(text)
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(right)
	require.NoError(t, err)
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
		"PSS":                 {withPSS(key), "the key is right, but the signature is rsa-pss-sha256 and the recipe has rsa-sha256"},
		"PSS of nobody":       {withPSS(newKey(t)), "no key of this set"},
		"no hash":             {base64.StdEncoding.EncodeToString(bare), "the signature names no hash and the recipe has rsa-sha256"},
		"the digest":          {sign(t, key, crypto.SHA256, "something=else"), "the digest that was signed is sha256 " + hex.EncodeToString(digest[:])},
		"too long":            {strings.Repeat("A", 20<<10), "longer than any"},
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
	assert.Equal(t, "the secret is right, and the provider has signed the text with a line feed at its end", diagnosis.Sentence(s, in, err).String())
	assert.Empty(t, diagnosis.Sentence(s, in, nil).String())
	assert.Empty(t, diagnosis.Sentence(s, in, scheme.Failf(scheme.Stale, "old")).String())
}

// A log names no member whose name anybody could have put into the message, and
// none that could be a number of somebody.
func TestLogNamesNoMemberOfOthers(t *testing.T) {
	key := newKey(t)
	set := &keys.Set{Verify: []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "")}}
	const more = `{"amount":"100","code":"0","planted":"1","sign_type":"RSA2","6222021234567890":"","sign":SIGNATURE}`
	for name, test := range map[string]struct{ text, want string }{
		"not signed":             {"6222021234567890=&amount=100&code=0&planted=1", "with one of its members, which the recipe leaves out"},
		"signed and left out":    {"amount=100&code=0&planted=1&sign_type=RSA2", "with the member sign_type, which the recipe leaves out"},
		"put in after signature": {"amount=100&code=0", "without part 3 of 3"},
	} {
		t.Run(name, func(t *testing.T) {
			got := logged(t, load(t, "rsa"), set, sign(t, key, crypto.SHA256, test.text), more)
			assert.Contains(t, got, test.want)
			assert.NotContains(t, got, "planted")
			assert.NotContains(t, got, "6222")
		})
	}
	assert.Contains(t, sentence(t, load(t, "rsa"), set, sign(t, key, crypto.SHA256, "amount=100&code=0"), more), "without the member planted",
		"whoever has the message may know")
}

// What stands behind an & inside of a value is no member's name.
func TestPartsOfValuesAreNotNames(t *testing.T) {
	key := newKey(t)
	set := &keys.Set{Verify: []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "")}}
	signature := sign(t, key, crypto.SHA256, "amount=100")
	got := sentence(t, load(t, "rsa"), set, signature, `{"amount":"100&6222021234567890","sign":SIGNATURE}`)
	assert.Contains(t, got, "without part 2 of 2")
	assert.NotContains(t, got, "6222")
}

// Nothing that is sent breaks the diagnosis, and none of it stands in the sentence.
func TestHostileMessages(t *testing.T) {
	rsaKey := newKey(t)
	seed := sha256.Sum256(nil)
	_, curve, err := ed25519.GenerateKey(bytes.NewReader(seed[:]))
	require.NoError(t, err)
	secret := keys.NewSecret([]byte("planted"), "")
	sets := map[string]*keys.Set{
		"rsa":     {Verify: []*keys.PublicKey{keys.NewPublicKey(&rsaKey.PublicKey, "")}},
		"md5":     {Secret: secret, VerifySecrets: []*keys.Secret{secret}},
		"ed25519": {Verify: []*keys.PublicKey{keys.NewPublicKey(curve.Public(), "")}},
	}
	for name, set := range sets {
		for _, signature := range []string{
			"=", "====", "planted", "planted<>", " planted ", "+", "%", "%2", "%2B", "%2B%zz", "\n", "\x00", "ÿ", "-", "_=", "0", "00",
			strings.Repeat("0", 32), strings.Repeat("f", 512), strings.Repeat("A", 88), strings.Repeat("/", 344), strings.Repeat("A", 341) + "A==",
			strings.Repeat("%2B", 4000), strings.Repeat(" ", 16<<10), strings.Repeat("planted", 3000),
			base64.StdEncoding.EncodeToString(rsaKey.N.Bytes()), base64.StdEncoding.EncodeToString(make([]byte, 64)),
		} {
			for _, text := range []string{
				answer, `{"sign":SIGNATURE}`, `{"":"planted","sign":SIGNATURE}`, `{"a":"&&&=&planted","&":"=","=":"&","sign":SIGNATURE}`,
				`{"a":"` + strings.Repeat("&planted", 200) + `","sign":SIGNATURE}`, `{"a":"%zz%E5+planted","b":null,"sign":SIGNATURE}`,
			} {
				assert.NotContains(t, logged(t, load(t, name), set, signature, text), "planted", "%s %q %s", name, signature, text)
			}
		}
	}
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

// A flood of forged messages costs a few sentences a second.
func TestLogIsLimited(t *testing.T) {
	key := newKey(t)
	set := &keys.Set{Verify: []*keys.PublicKey{keys.NewPublicKey(&key.PublicKey, "")}}
	s := load(t, "rsa")
	in, err := received(t, s, set, sign(t, newKey(t), crypto.SHA256, "x"), answer)
	l, said := diagnosis.NewLog(), 0
	start := time.Now()
	for range 1000 {
		if !l.Sentence(s, in, err).IsZero() {
			said++
		}
	}
	assert.GreaterOrEqual(t, said, 10)
	assert.LessOrEqual(t, said, 11+int(10*time.Since(start).Seconds()))
	assert.Empty(t, diagnosis.NewLog().Sentence(s, in, nil).String())
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
	assert.Contains(t, sentence(t, load(t, "rsa"), set, sign(t, key, crypto.SHA256, "x"), text), "another text than ours, which is too long to look")
	assert.Less(t, time.Since(start), 2*time.Second, "an unbounded one takes longer")
}

package diagnosis_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	_ "crypto/sha3"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/keys"
)

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

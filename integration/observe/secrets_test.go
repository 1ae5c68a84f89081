package observe_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What must never be seen: whatever looks like it belongs to somebody.
const (
	cardNumber   = "6222020200112233445"
	payerName    = "欧阳机密"
	latinName    = "Quentin Geheimrat"
	amount       = "987654321"
	idNumber     = "11010119900307867X"
	vaultToken   = "hvs.CAESIKqM3c/4nary+7Tz"
	sharedSecret = "shared-S3cr3t&Kq7/Zt+9=x"
	password     = "redis-pa55word/9Kd"
)

// secrets are texts that must not be found, in any of the forms in which a
// program writes text.
type secrets struct {
	mu    sync.RWMutex
	forms map[string][]byte // by what it is
	fold  map[string][]byte // likewise, in lower case
}

func newSecrets() *secrets {
	s := &secrets{forms: make(map[string][]byte), fold: make(map[string][]byte)}
	for name, text := range map[string]string{
		"card number": cardNumber, "name": payerName, "latin name": latinName, "amount": amount, "id number": idNumber,
		"token": vaultToken, "shared secret": sharedSecret, "password": password,
	} {
		s.add(name, []byte(text))
	}
	return s
}

// add adds a text in all forms.
func (s *secrets) add(name string, text []byte) {
	form := func(how, written string) { s.forms[name+", "+how] = []byte(written) }
	fold := func(how, written string) { s.fold[name+", "+how] = []byte(strings.ToLower(written)) }
	form("plain", string(text))
	quoted, _ := json.Marshal(string(text))
	form("JSON", string(quoted[1:len(quoted)-1]))
	fold("JSON escaped", jsonEscaped(string(text)))
	form("Go", inner(strconv.Quote(string(text))))
	form("Go ASCII", inner(strconv.QuoteToASCII(string(text))))
	form("HTML", html.EscapeString(string(text)))
	fold("query", url.QueryEscape(string(text)))
	fold("path", url.PathEscape(string(text)))
	fold("hex", hex.EncodeToString(text))
	form("bytes", inner(fmt.Sprint(text)))
	form("bytes in JSON", strings.ReplaceAll(inner(fmt.Sprint(text)), " ", ","))
	for name, encoding := range map[string]*base64.Encoding{"Base64": base64.RawStdEncoding, "Base64 for URLs": base64.RawURLEncoding} {
		for shift := range 3 {
			// Only what does not depend on the bytes around it.
			encoded := encoding.EncodeToString(append(make([]byte, shift), text...))
			form(fmt.Sprint(name, shift), encoded[(shift*8+5)/6:len(encoded)-1])
		}
	}
}

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// jsonEscaped writes every character as JSON allows it.
func jsonEscaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		fmt.Fprintf(&out, `\u%04x`, r)
	}
	return out.String()
}

// addKey adds a private key: as PEM, as DER, and its numbers.
func (s *secrets) addKey(name string, key *rsa.PrivateKey) {
	der, text := encodeKey(key)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, i := range []int{1, len(lines) / 2, len(lines) - 2} {
		s.forms[fmt.Sprintf("%s, PEM line %d", name, i)] = []byte(lines[i])
	}
	s.add(name+", DER", der[len(der)-60:len(der)-20])
	s.add(name+", d", key.D.Bytes()[:24])
	s.add(name+", p", key.Primes[0].Bytes()[:24])
	s.forms[name+", d decimal"] = []byte(key.D.String()[:40])
	s.forms[name+", p decimal"] = []byte(key.Primes[0].String()[:40])
}

// in finds secrets in a text and says which.
func (s *secrets) in(text []byte) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []string
	for what, form := range s.forms {
		if bytes.Contains(text, form) {
			found = append(found, what)
		}
	}
	lower := bytes.ToLower(text)
	for what, form := range s.fold {
		if bytes.Contains(lower, form) {
			found = append(found, what)
		}
	}
	return found
}

func encodeKey(key *rsa.PrivateKey) (der, text []byte) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return der, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func encodePublic(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	return key
}

// The search finds what it is to find: without that the leak test shows nothing.
func TestSecretsAreFoundInEveryForm(t *testing.T) {
	s := newSecrets()
	key := newKey(t)
	s.addKey("key", key)
	der, text := encodeKey(key)
	for what, written := range map[string]string{
		"plain":            "x" + cardNumber + "y",
		"JSON":             `{"name":"` + payerName + `"}`,
		"escaped JSON":     `"\u6b27\u9633\u673a\u5bc6"`,
		"escaped JSON 2":   `"\u6B27\u9633\u673A\u5BC6"`,
		"ampersand":        strings.ReplaceAll(sharedSecret, "&", `\u0026`),
		"query":            "a=" + url.QueryEscape(sharedSecret),
		"query, lower":     strings.ToLower(url.QueryEscape(payerName)),
		"hex":              strings.ToUpper(hex.EncodeToString([]byte(vaultToken))),
		"Base64":           base64.StdEncoding.EncodeToString([]byte(vaultToken)),
		"Base64 inside":    base64.StdEncoding.EncodeToString([]byte("a" + cardNumber + "bb")),
		"Base64 inside 2":  base64.URLEncoding.EncodeToString([]byte("ab" + cardNumber + "c")),
		"bytes":            fmt.Sprint([]byte("ab" + cardNumber + "c")),
		"PEM":              string(text),
		"PEM in JSON":      strings.ReplaceAll(string(text), "\n", `\n`),
		"DER":              string(der),
		"DER in hex":       hex.EncodeToString(der),
		"a number of keys": fmt.Sprint(key.D),
		"%v of a key":      fmt.Sprintf("%v", key),
	} {
		assert.NotEmpty(t, s.in([]byte(written)), what)
	}
	assert.Empty(t, s.in([]byte(`{"a":"622202","reference":"easypay/ORG","key_fingerprints":["5112259780733a06"]}`)))
}

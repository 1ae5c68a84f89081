package command_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// signer is how a provider signs a text that stands written out below. It shares
// no code with the schemes.
type signer func(t *testing.T, reference, text string) string

func secretOf(t *testing.T, reference string) string {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(providerKeys, reference, "secret"))
	require.NoError(t, err)
	return strings.TrimSuffix(string(secret), "\n")
}

func withRSA(t *testing.T, reference, text string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(providerKeys, reference, "sign.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(file)
	require.NotNil(t, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(sig)
}

func withMD5(before string) signer {
	return func(t *testing.T, reference, text string) string {
		sum := md5.Sum([]byte(text + before + secretOf(t, reference)))
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	}
}

func withHMAC(t *testing.T, reference, text string) string {
	secret := secretOf(t, reference)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.ReplaceAll(text, "{secret}", secret)))
	return hex.EncodeToString(mac.Sum(nil))
}

func withSHA256(t *testing.T, reference, text string) string {
	sum := sha256.Sum256([]byte(strings.ReplaceAll(text, "{secret}", secretOf(t, reference))))
	return hex.EncodeToString(sum[:])
}

// unexplained is an answer that was signed under values of options which nobody
// has configured.
type unexplained struct {
	scheme, reference string
	configured        []string // what stands against the values, if they are the defaults
	want              []string // the values, as option=value
	answer            string   // with %s for the signature
	text              string   // that is signed
	sign              signer
}

const (
	hkrtRef    = "hkrt/405544499f016a9b3d8f57000f"
	hongwenRef = "hongwen/2014072300007148"
	jeepayRef  = "jeepay/M1623997351"
	hbskRef    = "hbsk/d787d45a68b48"
)

// unexplainedAnswers are all but those of hbsk's templates.
var unexplainedAnswers = []unexplained{
	{"easypay", easypayRef, nil, []string{"empty=keep"}, `{"sysRetCode":"000000","bizData":{"tradeRetMsg":"分账成功","memo":"","transAmt":"1"},"sign":"%s"}`, "memo=&tradeRetMsg=分账成功&transAmt=1", withRSA},
	{"easypay", easypayRef, []string{"empty=keep"}, []string{"empty=skip"}, `{"sysRetCode":"000000","bizData":{"tradeRetMsg":"分账成功","memo":"","transAmt":"1"},"sign":"%s"}`, "tradeRetMsg=分账成功&transAmt=1", withRSA},
	{"jeepay", jeepayRef, nil, []string{"sign_type=RSA2"}, `{"code":0,"data":{"state":2,"amount":100},"sign":"%s"}`, "amount=100&state=2&", withRSA},
	{"jeepay", jeepayRef, []string{"sign_type=RSA2"}, []string{"sign_type=MD5"}, `{"code":0,"data":{"state":2,"amount":100},"sign":"%s"}`, "amount=100&state=2&", withMD5("key=")},
	{"hkrt", hkrtRef, nil, []string{"empty_list=keep"}, `{"list":[],"amt":1.00,"sign":"%s"}`, "amt=1.00&list=", withMD5("")},
	{"hkrt", hkrtRef, []string{"empty_list=keep"}, []string{"empty_list=skip"}, `{"list":[],"amt":1.00,"sign":"%s"}`, "amt=1.00", withMD5("")},
	{"hkrt", hkrtRef, nil, []string{"numbers=shortest"}, `{"list":[],"amt":1.00,"sign":"%s"}`, "amt=1", withMD5("")},
	{"hkrt", hkrtRef, []string{"numbers=shortest"}, []string{"numbers=token"}, `{"list":[],"amt":1.00,"sign":"%s"}`, "amt=1.00", withMD5("")},
	{"hkrt", hkrtRef, nil, []string{"empty_list=keep", "numbers=shortest"}, `{"list":[],"amt":1.00,"sign":"%s"}`, "amt=1&list=", withMD5("")},
	{"hongwen", hongwenRef, nil, []string{"arrays=json"}, `{"code":"20000","detail":[{"amt":"1"}],"sign":"%s"}`, `code=20000&detail=[{"amt":"1"}]`, withRSA},
	{"hongwen", hongwenRef, []string{"arrays=json"}, []string{"arrays=skip"}, `{"code":"20000","detail":[{"amt":"1"}],"sign":"%s"}`, "code=20000", withRSA},
	{"hbsk", hbskRef, []string{"digest=sha256", "message={data}{secret}", "response_message={data}{secret}"}, []string{"digest=hmac-sha256"}, `{"data":"D","time":7,"sign":"%s"}`, "D{secret}", withHMAC},
}

// hbskTemplates are what providers of such interfaces are known to sign.
var hbskTemplates = []string{
	"data={data}&time={time}", "data={data}&key={key}&time={time}",
	"code={code}&data={data}&text={text}&time={time}", "code={code}&data={data}&time={time}",
	"{data}{time}", "{time}{data}", "{key}{time}{data}", "{key}{data}{time}", "{data}",
	"data={data}&time={time}{secret}", "data={data}&time={time}&secret={secret}", "data={data}&time={time}&key={secret}",
	"data={data}&key={key}&time={time}{secret}", "data={data}&key={key}&time={time}&secret={secret}",
	"{data}{time}{secret}", "{key}{data}{time}{secret}", "{key}{time}{data}{secret}",
}

// ofTemplates are the answers that hbsk signs by each template, with each digest
// that can be used with it, as far as they do not verify by themselves.
func ofTemplates() []unexplained {
	var out []unexplained
	for i, template := range hbskTemplates {
		c := unexplained{
			scheme: "hbsk", reference: hbskRef, want: []string{"response_message=" + template}, sign: withHMAC,
			answer: `{"code":0,"text":"成功","data":"{\"sequence\":\"1\"}","key":"d787d45a68b48","time":1668672190,"sign":"%s"}`,
			text:   strings.NewReplacer("{data}", `{"sequence":"1"}`, "{key}", "d787d45a68b48", "{time}", "1668672190", "{code}", "0", "{text}", "成功").Replace(template),
		}
		if strings.Contains(template, "{secret}") {
			sha := c
			sha.want, sha.sign = []string{"digest=sha256", "response_message=" + template}, withSHA256
			out = append(out, sha)
		}
		if i == 0 {
			c.configured = []string{"response_message={data}"} // it is the default
		}
		out = append(out, c)
	}
	return out
}

// For every value of an option that decides whether an answer verifies: an
// answer that a provider signed that way is explained by that value. What is
// suggested verifies it, and loads where it is put into a Caddyfile.
func TestEveryValueOfAnOptionIsNamed(t *testing.T) {
	named := make(map[string]bool)
	for _, c := range slices.Concat(unexplainedAnswers, ofTemplates()) {
		t.Run(c.scheme+" "+strings.Join(c.want, " "), func(t *testing.T) {
			for _, value := range c.want {
				named[c.scheme+" "+value] = true
			}
			answer := fmt.Sprintf(c.answer, c.sign(t, c.reference, c.text))
			open := []string{"open", "--scheme", c.scheme, "--keys", merchantKeys, "--ref", c.reference}
			explained := caddy(t, answer, slices.Concat(open, sets(c.configured), []string{"--explain"})...)
			require.Equal(t, 1, explained.status, "as configured it must not open")
			require.Empty(t, explained.stdout)

			found := suggestions(explained.stderr)
			require.Len(t, found, 1, explained.stderr)
			for _, value := range c.want {
				assert.Contains(t, found[0], value)
			}
			set := slices.Clone(found[0])
			for _, value := range c.configured {
				if option, _, _ := strings.Cut(value, "="); !slices.ContainsFunc(set, func(s string) bool { return strings.HasPrefix(s, option+"=") }) {
					set = append(set, value)
				}
			}
			opened := caddy(t, answer, slices.Concat(open, sets(set))...)
			assert.Equal(t, 0, opened.status, opened.stderr)
			assert.NoError(t, testcaddy.Validate(caddyfileWith(c.scheme, c.reference, set)))
			if len(found[0]) > len(c.want) {
				assert.Contains(t, explained.stderr, "message is a guess")
				assert.Contains(t, explained.stderr, "message has no {secret}, which digest sha256 needs")
			}
		})
	}

	// These decide what is decrypted, or are of requests.
	elsewhere := []string{"easypay padding", "easypay envelope_prefix", "hbsk message"}
	for _, name := range scheme.Names() {
		s, err := scheme.New(name)
		require.NoError(t, err)
		for _, o := range s.Options() {
			if slices.Contains(elsewhere, name+" "+o.Name) {
				continue
			}
			for _, value := range o.Try {
				assert.True(t, named[name+" "+o.Name+"="+value], "no answer of %s is explained by %s=%s", name, o.Name, value)
			}
		}
	}
}

// The guess follows what is known of the provider.
func TestTheGuessedMessageIsLikeTheAnswers(t *testing.T) {
	for response, message := range map[string]string{
		"data={data}&time={time}{secret}":         "data={data}&key={key}&time={time}{secret}",
		"data={data}&time={time}&secret={secret}": "data={data}&key={key}&time={time}&secret={secret}",
		"{data}{time}{secret}":                    "{data}{time}{secret}",
	} {
		text := strings.NewReplacer("{data}", "D", "{time}", "7").Replace(response)
		r := caddy(t, fmt.Sprintf(`{"data":"D","time":7,"sign":"%s"}`, withSHA256(t, hbskRef, text)),
			"open", "--scheme", "hbsk", "--keys", merchantKeys, "--ref", hbskRef, "--explain")
		assert.Equal(t, [][]string{{"digest=sha256", "response_message=" + response, "message=" + message}}, suggestions(r.stderr))
	}
}

func sets(values []string) []string {
	var out []string
	for _, value := range values {
		out = append(out, "--set", value)
	}
	return out
}

// suggestions are the settings of each line that names some.
func suggestions(stderr string) [][]string {
	var out [][]string
	for line := range strings.SplitSeq(stderr, "\n") {
		if rest, found := strings.CutPrefix(line, "would verify with: "); found {
			words := split(rest)
			out = append(out, slices.DeleteFunc(words, func(word string) bool { return word == "--set" }))
		}
	}
	return out
}

// caddyfileWith is a Caddyfile with options as an operator writes them.
func caddyfileWith(scheme, reference string, settings []string) string {
	var options strings.Builder
	for _, set := range settings {
		option, value, _ := strings.Cut(set, "=")
		fmt.Fprintf(&options, "\t\t%s %q\n", option, value)
	}
	return "{\n\tcountersign {\n\t\tkeys file keys\n\t}\n}\nhttp://127.0.0.1:1 {\n\tcountersign " + scheme + " https://provider.example {\n" +
		"\t\tkeys " + reference + "\n" + options.String() + "\t}\n}\n"
}

// An answer of hbsk has no key, and a template with {key} needs it: the
// diagnosis says what it could not try.
func TestWhatCannotBeTriedIsSaid(t *testing.T) {
	answer := fmt.Sprintf(`{"code":0,"data":"D","time":7,"sign":"%s"}`, withHMAC(t, hbskRef, "d787d45a68b487D"))
	open := []string{"open", "--scheme", "hbsk", "--keys", merchantKeys, "--ref", hbskRef, "--explain"}
	r := caddy(t, answer, open...)
	assert.Equal(t, 1, r.status)
	assert.Empty(t, suggestions(r.stderr))
	assert.Contains(t, r.stderr, "not tried    some values of options: the message has no key, which is signed; set developer_key\n")

	r = caddy(t, answer, append(open, "--set", "developer_key=d787d45a68b48")...)
	assert.Equal(t, [][]string{{"response_message={key}{time}{data}"}}, suggestions(r.stderr))
	assert.NotContains(t, r.stderr, "not tried")
}

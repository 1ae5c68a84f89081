package command_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keysource"
)

const (
	merchantKeys = "../../keys-dev/merchant"
	providerKeys = "../../keys-dev/provider"
	easypayRef   = "easypay/ORG000000000007"
	samples      = "../../caddyfiles/samples"
)

// result is what a command has left behind.
type result struct {
	stdout, stderr string
	status         int
}

func caddy(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(t, strings.NewReader(stdin), &out, &errs, append([]string{"countersign"}, args...)...)
	return result{out.String(), errs.String(), status}
}

func sample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(samples, name))
	require.NoError(t, err)
	return string(text)
}

func TestSealPrintsTheExactBytes(t *testing.T) {
	args := []string{"seal", "--scheme", "easypay", "--keys", merchantKeys, "--ref", "easypay/{body.orgId}"}
	fromFile := caddy(t, "", append(args, filepath.Join(samples, "easypay.json"))...)
	require.Equal(t, 0, fromFile.status, fromFile.stderr)
	assert.Empty(t, fromFile.stderr)
	assert.True(t, strings.HasPrefix(fromFile.stdout, "{\n    \"orgId\": \"ORG000000000007\",\n"), "what came first stays first")
	assert.True(t, strings.HasSuffix(fromFile.stdout, "\n}\n"), "and what came last stays last")
	assert.Contains(t, fromFile.stdout, `"dgtlEnvlp":"`)
	assert.NotContains(t, fromFile.stdout, "北京烤鸭")

	for _, with := range [][]string{args, append(args, "-")} {
		fromInput := caddy(t, sample(t, "easypay.json"), with...)
		require.Equal(t, 0, fromInput.status, fromInput.stderr)
		assert.Len(t, fromInput.stdout, len(fromFile.stdout))
	}
}

// A method that the sidecar answers with 405 is not sealed either.
func TestSealTakesTheMethodsOfTheScheme(t *testing.T) {
	args := []string{"seal", "--scheme", "hkrt", "--keys", merchantKeys, "--ref", "hkrt/405544499f016a9b3d8f57000f"}
	for method, status := range map[string]int{"POST": 0, "GET": 1, "DELETE": 1} {
		got := caddy(t, method+" /pay HTTP/1.1\r\n\r\n{\"a\":\"1\"}", args...)
		assert.Equal(t, status, got.status, got.stderr)
		if status == 1 {
			assert.Contains(t, got.stderr, "its methods are POST")
			assert.Empty(t, got.stdout)
		}
	}
}

// What is sealed with the merchant's keys opens with the provider's: the
// provider's set has the same roles, seen from the other side.
func TestWhatIsSealedOpens(t *testing.T) {
	for scheme, test := range map[string]struct {
		reference, file, plain string // "" for a request without line breaks
		set                    []string
	}{
		"easypay": {easypayRef, "easypay.json", "北京烤鸭一只", nil},
		"hkrt":    {"hkrt/405544499f016a9b3d8f57000f", "hkrt.json", "833112128140726", []string{"--set", "access_id=405544499f016a9b3d8f57000f"}},
		"hongwen": {"hongwen/2014072300007148", "", "20150320010101002", []string{"--set", "mch_no=2014072300007148", "--set", "method=trade.apply.divide.back"}},
	} {
		t.Run(scheme, func(t *testing.T) {
			request := `{"biz_content":{"divide_back_out_trade_no":"20150320010101002","merchant_no":"1002341"}}`
			if test.file != "" {
				request = sample(t, test.file)
			}
			both := append([]string{"--scheme", scheme, "--ref", test.reference}, test.set...)
			sealed := caddy(t, request, append([]string{"seal", "--keys", merchantKeys}, both...)...)
			require.Equal(t, 0, sealed.status, sealed.stderr)
			opened := caddy(t, sealed.stdout, append([]string{"open", "--keys", providerKeys}, both...)...)
			require.Equal(t, 0, opened.status, opened.stderr)
			assert.Contains(t, opened.stdout, test.plain)

			// Our own string of what went out is what was signed.
			explained := caddy(t, request, append([]string{"seal", "--explain", "--keys", merchantKeys}, both...)...)
			body := filepath.Join(t.TempDir(), "body.json")
			require.NoError(t, os.WriteFile(body, []byte(explained.stdout), 0o600))
			theirs := filepath.Join(t.TempDir(), "theirs.txt")
			lines := strings.Split(explained.stderr, "\n")
			require.Greater(t, len(lines), 2)
			canonical := lines[len(lines)-2]
			require.NoError(t, os.WriteFile(theirs, []byte(canonical), 0o600))
			compared := caddy(t, "", "diff", "--scheme", scheme, body, theirs)
			assert.Equal(t, 0, compared.status, compared.stdout)
			sum := sha256.Sum256([]byte(canonical))
			assert.Contains(t, explained.stderr, hex.EncodeToString(sum[:]))
			assert.Contains(t, compared.stdout, hex.EncodeToString(sum[:]))
		})
	}
}

func TestSealExplainsWithoutChangingTheOutput(t *testing.T) {
	args := []string{"seal", "--scheme", "hkrt", "--keys", merchantKeys, "--ref", "hkrt/405544499f016a9b3d8f57000f", "--set", "access_id=405544499f016a9b3d8f57000f"}
	plain := caddy(t, sample(t, "hkrt.json"), args...)
	explained := caddy(t, sample(t, "hkrt.json"), append(args, "--explain")...)
	assert.Equal(t, plain.stdout, explained.stdout)
	assert.Empty(t, plain.stderr)
	assert.Contains(t, explained.stderr, "955b3af3", "the fingerprint of the secret")
	assert.Contains(t, explained.stderr, "hkrt/405544499f016a9b3d8f57000f/secret", "where it came from")
	secret, err := os.ReadFile(filepath.Join(merchantKeys, "hkrt/405544499f016a9b3d8f57000f/secret"))
	require.NoError(t, err)
	assert.NotContains(t, explained.stderr+explained.stdout, strings.TrimSpace(string(secret)))
}

// A key set that can only sign is enough to see what would be signed.
func TestSealWithTheSigningKeysAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, easypayRef), 0o700))
	for _, name := range []string{"sign.pem", "encrypt.pem"} {
		text, err := os.ReadFile(filepath.Join(merchantKeys, easypayRef, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, easypayRef, name), text, 0o600))
	}
	r := caddy(t, sample(t, "easypay.json"), "seal", "--scheme", "easypay", "--keys", dir, "--ref", easypayRef)
	assert.Equal(t, 0, r.status)
	assert.Contains(t, r.stdout, `"sign":"`)
	assert.Contains(t, r.stderr, "the sidecar would not send this")
	assert.Contains(t, r.stderr, "verify")

	require.NoError(t, os.Remove(filepath.Join(dir, easypayRef, "encrypt.pem")))
	r = caddy(t, sample(t, "easypay.json"), "seal", "--scheme", "easypay", "--keys", dir, "--ref", easypayRef)
	assert.Equal(t, 1, r.status)
	assert.Empty(t, r.stdout)
	assert.Contains(t, r.stderr, "has no encrypt")
}

func TestAListOption(t *testing.T) {
	request := `{"orgId":"ORG000000000007","bizData":{"oriOrgTrace":"1","phone":"138","card":"6222"}}`
	for _, with := range [][]string{{"--set", "encrypt=phone,card"}, {"--set", "encrypt=phone", "--set", "encrypt=card"}} {
		r := caddy(t, request, append([]string{"seal", "--scheme", "easypay", "--keys", merchantKeys, "--ref", easypayRef}, with...)...)
		require.Equal(t, 0, r.status, r.stderr)
		assert.NotContains(t, r.stdout, `"138"`)
		assert.NotContains(t, r.stdout, `"6222"`)
	}
}

func TestMistakesSayWhatToChange(t *testing.T) {
	keys := []string{"--keys", merchantKeys, "--ref", easypayRef}
	easypay := append([]string{"--scheme", "easypay"}, keys...)
	for name, test := range map[string]struct {
		args  []string
		stdin string
		want  string
	}{
		"no such keys command":    {[]string{"keys", "shwo"}, "", `unknown command "shwo"; the commands are import, new, show`},
		"no such recipe command":  {[]string{"recipe", "tset"}, "", `unknown command "tset"; the commands are guess, list, show, test`},
		"no such audit command":   {[]string{"audit", "x"}, "", `unknown command "x"; the commands are verify`},
		"no such command":         {[]string{"sael"}, "", `unknown command "sael"; the commands are audit, diff, doctor, keys, open, recipe, seal`},
		"no scheme":               {append([]string{"seal"}, keys...), "{}", "--scheme is missing; known are adapay, adyen, alipay"},
		"unknown scheme":          {append([]string{"seal", "--scheme", "nobody"}, keys...), "{}", `unknown scheme "nobody"; known are adapay, adyen, alipay`},
		"unknown option":          {append([]string{"seal", "--set", "emty=keep"}, easypay...), "{}", `unknown option "emty"; easypay has encrypt, padding, envelope_prefix, sign_type, empty, match`},
		"unknown value":           {append([]string{"seal", "--set", "padding=pkcs5"}, easypay...), "{}", `padding cannot be "pkcs5"; it is one of space, zero, pkcs7, none`},
		"an option without value": {append([]string{"seal", "--set", "padding"}, easypay...), "{}", "--set takes option=value"},
		"an option twice":         {append([]string{"seal", "--set", "padding=zero", "--set", "padding=none"}, easypay...), "{}", "the option padding is given twice"},
		"no keys":                 {[]string{"seal", "--scheme", "easypay", "--ref", easypayRef}, "{}", "--keys is missing"},
		"no reference":            {[]string{"seal", "--scheme", "easypay", "--keys", merchantKeys}, "{}", "--ref is missing"},
		"no such folder":          {[]string{"seal", "--scheme", "easypay", "--keys", "nowhere", "--ref", easypayRef}, "{}", "no such file or directory"},
		"no such key set":         {[]string{"seal", "--scheme", "easypay", "--keys", merchantKeys, "--ref", "easypay/1"}, "{}", `loading the key set "easypay/1": no such key set`},
		"a reference that climbs": {[]string{"seal", "--scheme", "easypay", "--keys", merchantKeys, "--ref", "../provider/" + easypayRef}, "{}", "without . or .."},
		"a member that climbs":    {[]string{"seal", "--scheme", "easypay", "--keys", merchantKeys, "--ref", "easypay/{body.orgId}"}, `{"orgId":"../x"}`, "whose value cannot name a key set"},
		"a member that lacks":     {[]string{"seal", "--scheme", "easypay", "--keys", merchantKeys, "--ref", "easypay/{body.orgId}"}, `{}`, "names a member that the message does not have"},
		"no such file":            {append(append([]string{"seal"}, easypay...), "nowhere.json"), "", "reading the message"},
		"two files":               {append(append([]string{"seal"}, easypay...), "a", "b"), "", "wrong number of arguments: 2"},
		"no JSON":                 {append([]string{"seal"}, easypay...), "sign me", "reading the request: not valid JSON"},
		"nothing":                 {append([]string{"seal"}, easypay...), "", "it is empty"},
		"a request of another":    {append([]string{"seal"}, easypay...), "{}", "bizData"},
		"guess an answer":         {append([]string{"recipe", "guess", "--as", "notification", "-"}, keys...), "HTTP/1.1 200 OK\r\n\r\n{}", "- begins with a status line: it is an answer; write --as answer"},
		"guess a notification":    {append([]string{"recipe", "guess", "--as", "answer", "-"}, keys...), "POST / HTTP/1.1\r\n\r\n{}", "- begins with a request line"},
		"open as a request":       {append([]string{"open", "--as", "request"}, easypay...), "{}", `--as takes response or notification, not "request"`},
		"an answer without sign":  {append([]string{"open"}, easypay...), `{"bizData":{}}`, "the message has no sign"},
		"diff as a bill":          {[]string{"diff", "--scheme", "easypay", "--as", "bill", "-", "x"}, "{}", `--as takes request, response or notification, not "bill"`},
		"diff of one file":        {[]string{"diff", "--scheme", "easypay", "x"}, "", "wrong number of arguments: 1"},
		"diff of input and input": {[]string{"diff", "--scheme", "easypay", "-", "-"}, "", "only one of BODY and CANONICAL"},
		"diff of a plain request": {[]string{"diff", "--scheme", "easypay", "-", samples + "/easypay.json"}, sample(t, "easypay.json"), "bizData: member orderSubDetails: an object or a list"},
		"doctor without a file":   {[]string{"doctor"}, "", "--config is missing"},
		"doctor of nothing":       {[]string{"doctor", "--config", "nowhere"}, "", "reading the configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			r := caddy(t, test.stdin, test.args...)
			assert.Equal(t, 1, r.status)
			assert.Empty(t, r.stdout)
			assert.Contains(t, r.stderr, test.want)
			assert.NotContains(t, r.stderr, "Usage:", "a mistake is one line")
		})
	}
}

// An error is in Chinese from the first word to the last: the word before it, and the
// system's reason for a file.
func TestMistakesInChinese(t *testing.T) {
	for want, args := range map[string][]string{
		"错误： 读取密钥文件时出错：nowhere：文件或目录不存在\n":                    {"keys", "import", "--role", "sign", "--dir", "x", "--ref", "y", "nowhere"},
		"错误： 读取配置时出错：nowhere：文件或目录不存在\n":                      {"doctor", "--config", "nowhere"},
		"错误： 没有选项 --frob；用法见：caddy countersign seal --help\n": {"seal", "--frob"},
	} {
		t.Setenv("LC_ALL", "zh_CN.UTF-8")
		r := caddy(t, "", args...)
		assert.Equal(t, 1, r.status)
		assert.Equal(t, want, r.stderr)
		r = caddy(t, "", append([]string{"--lang", "en"}, args...)...)
		assert.True(t, strings.HasPrefix(r.stderr, "Error: "), r.stderr)
	}
}

// A notification that is a form is printed as the application gets it: without the head
// of the file, whatever came with it.
func TestOpenPrintsTheFormAlone(t *testing.T) {
	file := "../providers/ecpay/messages/notification.http"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, form, found := strings.Cut(string(text), "\r\n\r\n")
	require.True(t, found)
	for _, text := range []string{string(text), form} {
		r := caddy(t, text, "open", "--scheme", "ecpay", "--keys", "../providers/ecpay/keys", "--ref", "test/notification", "--as", "notification")
		assert.Equal(t, 0, r.status, r.stderr)
		assert.Equal(t, form, r.stdout)
	}
}

func TestAnOpenedMessageNeedsNoKeyOfItsOwn(t *testing.T) {
	answer, err := os.ReadFile("testdata/transcripts/open-page/answer.json")
	require.NoError(t, err)
	for _, text := range []string{string(answer), "\ufeff" + string(answer)} {
		r := caddy(t, text, "open", "--scheme", "easypay", "--keys", "testdata/keys", "--ref", "easypay/page")
		require.Equal(t, 0, r.status, r.stderr)
		assert.Equal(t, string(answer), r.stdout, "byte for byte, without the mark")
		assert.Contains(t, r.stderr, "verified, not decryptable")
	}
	for _, changed := range []string{"\"transAmt\": \"1\"", "\"transAmt\": \"0 0\""} {
		forged := strings.Replace(string(answer), "\"transAmt\": \"0\"", changed, 1)
		r := caddy(t, forged, "open", "--scheme", "easypay", "--keys", "testdata/keys", "--ref", "easypay/page")
		assert.Equal(t, 1, r.status)
		assert.Empty(t, r.stdout, "nothing of what does not verify is printed")
		assert.Contains(t, r.stderr, "does not verify")
	}
}

// Some gateways put a prefix before the symmetric key, and nobody knows before
// the first answer.
func TestAnEnvelopeWithAPrefixNamesTheOption(t *testing.T) {
	both := []string{"--scheme", "easypay", "--ref", easypayRef}
	sealed := caddy(t, sample(t, "easypay.json"), append([]string{"seal", "--keys", providerKeys, "--set", "envelope_prefix=01|"}, both...)...)
	require.Equal(t, 0, sealed.status, sealed.stderr)
	open := append([]string{"open", "--keys", merchantKeys}, both...)

	r := caddy(t, sealed.stdout, open...)
	assert.Equal(t, 0, r.status, r.stderr)
	assert.NotContains(t, r.stdout, "北京烤鸭")
	assert.Contains(t, r.stderr, "verified, not decryptable")
	assert.Contains(t, r.stderr, "set envelope_prefix")
	assert.NotContains(t, r.stderr, "not one for these keys")

	r = caddy(t, sealed.stdout, append(open, "--explain")...)
	assert.Contains(t, r.stderr, "would open with: --set 'envelope_prefix=01|'\n")
	r = caddy(t, sealed.stdout, append(open, "--set", "envelope_prefix=01|")...)
	assert.Contains(t, r.stdout, "北京烤鸭")
}

// A secret that is only accepted, and no key at all.
func TestOpenWithWhatThereIs(t *testing.T) {
	const reference = "hkrt/405544499f016a9b3d8f57000f"
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, reference), 0o700))
	secret, err := os.ReadFile(filepath.Join(merchantKeys, reference, "secret"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, reference, "verify_secret"), secret, 0o600))
	sealed := caddy(t, `{"amt":"1"}`, "seal", "--scheme", "hkrt", "--keys", merchantKeys, "--ref", reference, "--set", "access_id=1")
	require.Equal(t, 0, sealed.status, sealed.stderr)
	r := caddy(t, sealed.stdout, "open", "--scheme", "hkrt", "--keys", dir, "--ref", reference)
	assert.Equal(t, 0, r.status, r.stderr)

	r = caddy(t, sealed.stdout, "open", "--scheme", "hkrt", "--keys", "testdata/keys", "--ref", "easypay/page", "--explain")
	assert.Equal(t, 1, r.status)
	assert.Contains(t, r.stderr, "has no secret")
	for _, scheme := range []string{"easypay", "hongwen"} {
		r = caddy(t, `{"bizData":{"a":"1"},"sign":"AAAA"}`, "open", "--scheme", scheme, "--keys", dir, "--ref", reference)
		assert.Equal(t, 1, r.status)
		assert.Contains(t, r.stderr, "has no verify")
	}
}

func TestDiffTakesWhatOpenTakes(t *testing.T) {
	r := caddy(t, "", "diff", "--scheme", "easypay", "--keys", merchantKeys, "--ref", easypayRef, "--as", "response",
		"testdata/transcripts/diff-equal/body.json", "testdata/transcripts/diff-equal/theirs.txt")
	assert.Equal(t, 0, r.status, r.stderr)
	assert.True(t, strings.HasPrefix(r.stdout, "equal: "), r.stdout)
}

// A secret at the end of their string is not shown, wherever the strings part.
func TestDiffShowsNoSecret(t *testing.T) {
	body := `{"amount":100,"mchNo":"M1","version":"1.0"}`
	for _, theirs := range []string{"amount=100&mchNo=M1&version=1.0&key=topsecret", "amount=100&mchNo=M1&version=1&key=topsecret", "amount=100&mchNo=M2&version=1.0&key=topsecret"} {
		file := filepath.Join(t.TempDir(), "theirs.txt")
		require.NoError(t, os.WriteFile(file, []byte(theirs), 0o600))
		r := caddy(t, body, "diff", "--scheme", "jeepay", "-", file)
		assert.Equal(t, 1, r.status)
		assert.Contains(t, r.stdout, "not shown", theirs)
		assert.NotContains(t, r.stdout+r.stderr, "topsecret")
	}
	file := filepath.Join(t.TempDir(), "theirs.txt")
	require.NoError(t, os.WriteFile(file, []byte("a=1topsecret"), 0o600))
	r := caddy(t, `{"a":1}`, "diff", "--scheme", "hkrt", "-", file)
	assert.NotContains(t, r.stdout+r.stderr, "topsecret")
}

func TestDoctorForPeopleAndMachines(t *testing.T) {
	t.Chdir("../..")
	config := []string{"doctor", "--config", "caddyfiles/quickstart.Caddyfile"}
	table := caddy(t, "", config...)
	assert.Equal(t, 0, table.status, "warnings are no failure: %s", table.stderr)
	assert.Empty(t, table.stderr)
	assert.Contains(t, table.stdout, "ok       admin endpoint")
	assert.Contains(t, table.stdout, "warning  ")
	assert.Regexp(t, `\d+ ok, \d+ warnings?, 0 failures\n$`, table.stdout)

	machine := caddy(t, "", append(config, "--json")...)
	assert.Equal(t, 0, machine.status)
	assert.Empty(t, machine.stderr)
	var findings []map[string]string
	require.NoError(t, json.Unmarshal([]byte(machine.stdout), &findings))
	require.NotEmpty(t, findings)
	for _, f := range findings {
		assert.Contains(t, []string{"ok", "warning", "failure"}, f["status"])
		assert.NotEmpty(t, f["check"])
		assert.NotEmpty(t, f["subject"])
		assert.NotEmpty(t, f["reason"])
		assert.Equal(t, f["status"] == string(keysource.OK), f["advice"] == "")
	}
}

func TestDoctorFails(t *testing.T) {
	config := filepath.Join(t.TempDir(), "Caddyfile")
	require.NoError(t, os.WriteFile(config, []byte(":80 {\n}\n"), 0o600))
	t.Setenv("CADDY_ADMIN", "")
	for _, more := range [][]string{nil, {"--json"}} {
		r := caddy(t, "", append([]string{"doctor", "--config", config}, more...)...)
		assert.Equal(t, 1, r.status)
		assert.Contains(t, r.stdout, "failure")
		assert.Contains(t, r.stderr, "2 checks failed", "the admin endpoint, and nothing of countersign")
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"seal", "--help"}, {"open", "--help"}, {"diff", "--help"}, {"doctor", "--help"}} {
		r := caddy(t, "", args...)
		assert.Equal(t, 0, r.status)
		assert.Contains(t, r.stdout, "Usage:")
	}
}

// englishWords are three words in a row, which no text in Chinese has.
var englishWords = regexp.MustCompile(`[a-z]{3,} [a-z]{2,} [a-z]{2,}`)

// Every sentence of the doctor is in Chinese, also those that stores and key sources write.
func TestTheDoctorInChinese(t *testing.T) {
	t.Chdir("../..")
	examined := 0
	for _, file := range []string{"quickstart", "audit", "notify", "guard-merchant", "guard-platform", "hbsk"} {
		r := caddy(t, "", "doctor", "--lang", "zh", "--json", "--config", "caddyfiles/"+file+".Caddyfile")
		var found []keysource.Finding
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &found), r.stdout+r.stderr)
		for _, f := range found {
			examined++
			assert.NotRegexp(t, englishWords, f.Reason, file)
			assert.NotRegexp(t, englishWords, f.Advice, file)
			assert.NotContains(t, f.Subject, " and ", file)
		}
	}
	assert.Greater(t, examined, 60)
}

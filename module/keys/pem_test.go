package keys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oneLine puts a text on one line, with separator for its line breaks.
func oneLine(text, separator string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", separator)
}

func utf16Text(order binary.ByteOrder, text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, 0, 0)
		order.PutUint16(out[len(out)-2:], unit)
	}
	return string(out)
}

// damaged are the ways in which a key's text reaches its file. Each keeps one reading.
var damaged = map[string]func(text string) string{
	"on one line with blanks":             func(s string) string { return oneLine(s, " ") },
	"on one line without anything":        func(s string) string { return oneLine(s, "") },
	`with a literal \n`:                   func(s string) string { return oneLine(s, `\n`) },
	`with a literal \r\n`:                 func(s string) string { return oneLine(s, `\r\n`) + `\r\n` },
	"in quotes":                           func(s string) string { return `"` + oneLine(s, `\n`) + `"` + "\n" },
	"in single quotes, with a comma":      func(s string) string { return `'` + strings.TrimSpace(s) + "',\n" },
	"with slashes escaped as in JSON":     func(s string) string { return `"` + strings.ReplaceAll(oneLine(s, `\n`), "/", `\/`) + `"` },
	"indented":                            func(s string) string { return "    " + oneLine(s, "\n    ") + "\n" },
	"indented with tabs":                  func(s string) string { return "\t" + oneLine(s, "\r\n\t") + "\r\n" },
	"CR only":                             func(s string) string { return strings.ReplaceAll(s, "\n", "\r") },
	"CRLF":                                func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	"an empty line between all lines":     func(s string) string { return strings.ReplaceAll(s, "\n", "\n\n") },
	"UTF-8 with a byte order mark":        func(s string) string { return "\ufeff" + s },
	"UTF-16 little endian with its mark":  func(s string) string { return utf16Text(binary.LittleEndian, "\ufeff"+s) },
	"UTF-16 big endian with its mark":     func(s string) string { return utf16Text(binary.BigEndian, "\ufeff"+s) },
	"UTF-16 little endian without a mark": func(s string) string { return utf16Text(binary.LittleEndian, s) },
	"no line break at its end":            strings.TrimSpace,
	"with a newline escaped twice":        func(s string) string { return oneLine(s, `\\n`) },
	"with escapes of JSON":                func(s string) string { return strings.ReplaceAll(oneLine(s, `\u000a`), "+", `\u002B`) },
	"with escapes of a URL": func(s string) string {
		return strings.NewReplacer("\n", "%0A", "+", "%2B", "/", "%2F", "=", "%3D").Replace(s)
	},
	"with breaks of HTML":               func(s string) string { return oneLine(s, "<br>") },
	"with marks without a shape":        func(s string) string { return strings.ReplaceAll(s, "\n", "\u200b\n") },
	"in Base64, as Kubernetes shows it": func(s string) string { return bare([]byte(s)) + "\n" },
	"blanks behind each line":           func(s string) string { return strings.ReplaceAll(s, "\n", "  \n") },
}

func TestTextsAsPeopleHaveThem(t *testing.T) {
	key := one()
	public, certified := &key.PublicKey, certificateOf(t, &key.PublicKey, 1)
	private := map[string]string{
		"PKCS#8": block("PRIVATE KEY", pkcs8(key)), "PKCS#1": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		"bare": bare(pkcs8(key)) + "\n", "folded": folded(pkcs8(key), "\n"),
	}
	peers := map[string]string{
		"PKIX": block("PUBLIC KEY", pkix8(public)), "certificate": block("CERTIFICATE", certified),
		"bare": bare(pkix8(public)) + "\n", "bare certificate": bare(certified) + "\n", "folded": folded(pkix8(public), "\n"),
	}
	for how, damage := range damaged {
		for what, text := range private {
			set, err := parseOne(Sign, damage(text))
			require.NoError(t, err, "%s %s", what, how)
			assert.Equal(t, []string{Fingerprint(public)}, set.Fingerprints(Sign))
		}
		for what, text := range peers {
			set, err := parseOne(Encrypt, damage(text))
			require.NoError(t, err, "%s %s", what, how)
			assert.Equal(t, []string{Fingerprint(public)}, set.Fingerprints(Encrypt))
		}
	}
}

func TestSeveralKeysAsPeopleHaveThem(t *testing.T) {
	first, second := pkix8(&one().PublicKey), pkix8(&two().PublicKey)
	prints := []string{Fingerprint(&one().PublicKey), Fingerprint(&two().PublicKey)}
	texts := map[string]string{
		"PEM":                        block("PUBLIC KEY", first) + block("PUBLIC KEY", second),
		"PEM and text":               "# old\n" + block("PUBLIC KEY", first) + "--- new ---\n" + block("PUBLIC KEY", second) + "\nuntil 2027: 密钥\n",
		"bare, one a line":           bare(first) + "\n" + bare(second) + "\n",
		"bare, one a line, a gap":    bare(first) + "\n\n" + bare(second),
		"bare in lines, with a gap":  folded(first, "\n") + "\n" + folded(second, "\n"),
		"bare in CRLF lines, a gap":  folded(first, "\r\n") + "\r\n" + folded(second, "\r\n"),
		"bare in quotes, one a line": `"` + bare(first) + "\",\n\"" + bare(second) + "\"\n",
	}
	for how, text := range texts {
		set, err := parseOne(Verify, text)
		require.NoError(t, err, how)
		assert.Equal(t, prints, set.Fingerprints(Verify), how)
	}
	for how, damage := range damaged {
		if how == "an empty line between all lines" {
			continue
		}
		set, err := parseOne(Verify, damage(texts["PEM"]))
		require.NoError(t, err, how)
		assert.Equal(t, prints, set.Fingerprints(Verify), how)
	}
}

// Whatever a half-written text ends in, no key of it may get lost.
func TestEveryCutIsSeen(t *testing.T) {
	first, second := block("PUBLIC KEY", pkix8(&one().PublicKey)), block("PUBLIC KEY", pkix8(&two().PublicKey))
	for n := len(first) + 1; n < len(first+second)-1; n++ {
		_, err := parseOne(Verify, (first + second)[:n])
		require.ErrorContains(t, err, "incomplete", "cut after %d bytes", n)
	}
	text := bare(pkix8(&two().PublicKey))
	for n := 8; n < len(text)-2; n++ {
		_, err := parseOne(Verify, text[:n])
		require.Error(t, err, "cut after %d letters", n)
	}
}

func TestTheTrueCause(t *testing.T) {
	key := one()
	private, public := block("PRIVATE KEY", pkcs8(key)), block("PUBLIC KEY", pkix8(&key.PublicKey))
	for name, c := range map[string]struct {
		role Role
		text string
		want string
	}{
		"two bare keys without a gap":               {Verify, folded(pkix8(&key.PublicKey), "\n") + folded(pkix8(&two().PublicKey), "\n"), "something follows the key"},
		"hyphens of another length":                 {Verify, strings.ReplaceAll(public, "-----", "----"), "exactly five hyphens"},
		"long hyphens":                              {Verify, strings.ReplaceAll(public, "-----", "———"), "exactly five hyphens"},
		"no BEGIN":                                  {Verify, public[len("-----BEGIN PUBLIC KEY-----"):], "incomplete"},
		"an OpenSSH private key":                    {Sign, strings.ReplaceAll(private, "PRIVATE KEY", "OPENSSH PRIVATE KEY"), "ssh-keygen"},
		"an OpenSSH public key":                     {Verify, "ssh-rsa AAAAB3NzaC1yc2E me@host", "ssh-keygen"},
		"the XML of .NET":                           {Verify, "<RSAKeyValue><Modulus>AA==</Modulus></RSAKeyValue>", ".NET"},
		"JSON":                                      {Verify, `{"kty":"RSA"}`, "JSON"},
		"a request":                                 {Verify, strings.ReplaceAll(public, "PUBLIC KEY", "CERTIFICATE REQUEST"), "certificate request"},
		"a bundle":                                  {Verify, strings.ReplaceAll(public, "PUBLIC KEY", "PKCS7"), "PKCS #7"},
		"a Java key store":                          {Sign, "\xfe\xed\xfe\xed\x00\x00\x00\x02", "keys import"},
		"a label":                                   {Verify, "publicKey=" + bare(pkix8(&key.PublicKey)), "a name stands before the key"},
		"a label in Chinese":                        {Verify, "公钥：" + bare(pkix8(&key.PublicKey)), "a name stands before the key"},
		"a label in quotes":                         {Sign, `private_key: "` + bare(pkcs8(key)) + `"`, "a name stands before the key"},
		"a word alone":                              {Verify, "publicKey=none", "neither PEM nor Base64"},
		"six hyphens":                               {Verify, strings.ReplaceAll(public, "-----", "------"), "exactly five hyphens"},
		"small letters":                             {Verify, strings.NewReplacer("BEGIN", "begin", "END", "end").Replace(public), "small letters"},
		"a comment in a block":                      {Verify, strings.Replace(public, "-----\n", "-----\n# mine\n", 1), "a PEM block holds '#' between BEGIN and END"},
		"a letter of another alphabet":              {Verify, strings.Replace(public, "A", "\u0410", 2), `holds '\u0410'`},
		"a modulus that was damaged":                {Verify, block("PUBLIC KEY", pkix8(&rsa.PublicKey{N: new(big.Int).Mul(new(big.Int).SetBit(new(big.Int).Rsh(key.N, 4), 0, 1), big.NewInt(15)), E: 65537})), "small factor"},
		"PEM in the string of a program":            {Sign, `"` + oneLine(private, "\\n\" +\n\"") + `"`, "not whole Base64"},
		"bare Base64 beside PEM":                    {Verify, public + bare(pkix8(&two().PublicKey)), "without BEGIN and END"},
		"half of UTF-16":                            {Verify, utf16Text(binary.LittleEndian, "\ufeff"+public)[:101], "UTF-16"},
		"a private key behind the peer's":           {Verify, public + private, "must never be here"},
		"a certificate alone where a key is needed": {Sign, block("CERTIFICATE", certificateOf(t, &key.PublicKey, 1)), "needs the private one"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseOne(c.role, c.text)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// Key and certificate in one file: what `cat key.pem cert.pem` makes.
func TestKeyAndCertificateInOneFile(t *testing.T) {
	key, certified := block("PRIVATE KEY", pkcs8(one())), block("CERTIFICATE", certificateOf(t, &one().PublicKey, 0xBEEF))
	public := block("PUBLIC KEY", pkix8(&one().PublicKey))
	for _, text := range []string{key + certified, certified + key, key + public + certified} {
		set, err := parseOne(Sign, text)
		require.NoError(t, err)
		assert.Equal(t, "BEEF", set.Sign.Serial)
	}
	set, err := parseOne(Encrypt, public+certified)
	require.NoError(t, err, "the same key twice is one key")
	assert.Equal(t, "BEEF", set.Encrypt.Serial)
	_, err = parseOne(Sign, key+block("PUBLIC KEY", pkix8(&two().PublicKey)))
	assert.ErrorContains(t, err, "another key")
}

// Keys that would verify nothing, or anything, are refused when they are loaded.
func TestRSAKeysThatAreNone(t *testing.T) {
	good := one().PublicKey
	for _, exponent := range []int{1, 2, 4, 65536, 1<<31 + 1, 1<<32 + 1} {
		bad := good
		bad.E = exponent
		_, err := parseOne(Verify, block("PUBLIC KEY", pkix8(&bad)))
		assert.ErrorContains(t, err, fmt.Sprintf("its exponent is %d", exponent))
	}
	bad := good
	bad.N = new(big.Int).Lsh(good.N, 1)
	_, err := parseOne(Encrypt, bare(x509.MarshalPKCS1PublicKey(&bad)))
	assert.ErrorContains(t, err, "its modulus is even")
	for _, exponent := range []int{3, 1<<31 - 1} {
		good.E = exponent
		_, err = parseOne(Verify, block("PUBLIC KEY", pkix8(&good)))
		assert.NoError(t, err)
	}
}

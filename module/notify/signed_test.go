package notify_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The providers' side, with nothing of the schemes: members in the order in
// which they are sent, and the signature over them by the provider's rule.

type member struct{ name, value string }

// with returns a list of members in which one has another value; "" leaves it out.
func with(members []member, name, value string) []member {
	out := slices.Clone(members)
	for i := range out {
		if out[i].name == name {
			out[i].value = value
			return slices.DeleteFunc(out, func(m member) bool { return m.value == "" })
		}
	}
	return append(out, member{name, value})
}

func sorted(members []member, separator string) string {
	var pieces []string
	for _, m := range members {
		if m.value != "" {
			pieces = append(pieces, m.name+"="+m.value)
		}
	}
	slices.SortFunc(pieces, strings.Compare)
	return strings.Join(pieces, separator)
}

func jsonOf(members []member) string {
	var out []string
	for _, m := range members {
		out = append(out, quoted(m.name)+":"+quoted(m.value))
	}
	return "{" + strings.Join(out, ",") + "}"
}

func quoted(text string) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text)
	return strings.TrimSuffix(out.String(), "\n")
}

func formOf(members []member) string {
	var out []string
	for _, m := range members {
		out = append(out, url.QueryEscape(m.name)+"="+url.QueryEscape(m.value))
	}
	return strings.Join(out, "&")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.TrimSuffix(string(text), "\n")
}

func privateKey(t *testing.T, name string) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode([]byte(readFile(t, name)))
	require.NotNil(t, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(*rsa.PrivateKey)
}

func signRSA(t *testing.T, file, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, privateKey(t, file), crypto.SHA256, sum[:])
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(sig)
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func hmacHex(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

const devKeys = "../../keys-dev/provider/"

// easypay returns a notification over one part, bizData or the older data.
func easypay(t *testing.T, part string, biz []member) sent {
	t.Helper()
	sig := signRSA(t, devKeys+"easypay/ORG000000000007/sign.pem", sorted(biz, "&"))
	return sent{contentType: "application/json; charset=utf-8", body: `{ "orgId":"ORG000000000007" ,"sysRetCode":"000000","sign":` +
		quoted(sig) + `,"signType":"SHA256withRSA", ` + quoted(part) + ":" + jsonOf(biz) + "}\n"}
}

func jeepay(t *testing.T, members []member) sent {
	t.Helper()
	// The names of the tests need no case-insensitive order.
	sig := md5Hex(sorted(members, "&") + "&key=" + readFile(t, devKeys+"jeepay/M1623997351/secret"))
	return sent{contentType: "application/x-www-form-urlencoded", body: formOf(append(slices.Clone(members), member{"sign", sig}))}
}

func hkrt(t *testing.T, members []member) sent {
	t.Helper()
	sig := md5Hex(sorted(members, "&") + readFile(t, devKeys+"hkrt/405544499f016a9b3d8f57000f/secret"))
	return sent{contentType: "application/json", body: jsonOf(append(slices.Clone(members), member{"sign", sig}))}
}

func hongwen(t *testing.T, members []member) sent {
	t.Helper()
	sig := signRSA(t, devKeys+"hongwen/2014072300007148/sign.pem", sorted(members, "&"))
	return sent{contentType: "application/x-www-form-urlencoded; charset=utf-8", body: formOf(append(slices.Clone(members), member{"sign", sig}))}
}

func hbsk(t *testing.T, members []member) sent {
	t.Helper()
	value := func(name string) string {
		for _, m := range members {
			if m.name == name {
				return m.value
			}
		}
		return ""
	}
	sig := hmacHex(readFile(t, devKeys+"hbsk/d787d45a68b48/secret"), "data="+value("data")+"&time="+value("time"))
	return sent{contentType: "application/json", body: jsonOf(append(slices.Clone(members), member{"sign", sig}))}
}

func unescaped(text string) (string, error) { return url.QueryUnescape(text) }

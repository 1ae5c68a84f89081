package guess_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// Rules that need no provider: headers of any name, a digest of the body between two of
// them, GBK, and forms in which nothing is encoded.
func TestFound(t *testing.T) {
	secret := keys.NewSecret([]byte("s3cr3t-of-the-merchant"), "a test")
	set := &keys.Set{Secret: secret, VerifySecrets: []*keys.Secret{secret}}
	sum := func(text string) string {
		h := hmac.New(sha256.New, secret.Bytes())
		h.Write([]byte(text))
		return hex.EncodeToString(h.Sum(nil))
	}
	sha := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	md := func(text string) string {
		s := md5.Sum([]byte(text))
		return hex.EncodeToString(s[:])
	}
	toGBK := func(text string) string {
		text, err := simplifiedchinese.GBK.NewEncoder().String(text)
		require.NoError(t, err)
		return text
	}
	header := func(of func(order string) (signed, body string), pairs ...string) func(string) *message.Message {
		return func(order string) *message.Message {
			m := message.New(message.Notification)
			m.Method, m.Path = "POST", "/notify"
			signed, text := of(order)
			m.Wire = []byte(text)
			m.Header.Set("X-Sign", sum(signed))
			for i := 0; i < len(pairs); i += 2 {
				m.Header.Set(pairs[i], pairs[i+1])
			}
			return m
		}
	}
	whole := func(text string) func(string) *message.Message {
		return func(order string) *message.Message {
			m := message.New(message.Notification)
			m.Wire = []byte(toGBK(strings.ReplaceAll(strings.ReplaceAll(text, "ORDER", order), "SIGN", md(toGBK("id="+order+"&name=中文&key=s3cr3t-of-the-merchant")))))
			return m
		}
	}
	beside := func(of func(order string) string) func(string) *message.Message {
		return func(order string) *message.Message {
			m := message.New(message.Notification)
			m.Wire = []byte(`{"Name":"x","orderId":"` + order + `","total":"1.10","date":"2026","a":"1","b":"2","c":"3","sign":"` + md(of(order)) + `"}`)
			return m
		}
	}
	for name, test := range map[string]struct {
		of   func(string) *message.Message
		want []string
	}{
		"a time stamp called ts": {header(func(o string) (string, string) { return "1700000000.{\"id\":\"" + o + "\"}", `{"id":"` + o + `"}` }, "X-Ts", "1700000000"), []string{`"{header.X-Ts}.{body}"`}},
		"another header":         {header(func(o string) (string, string) { return "east\n{\"id\":\"" + o + "\"}", `{"id":"` + o + `"}` }, "X-Region", "east"), []string{`"{header.X-Region}\n{body}"`}},
		"a digest in the middle": {header(func(o string) (string, string) {
			b := `{"id":"` + o + `"}`
			return "1700000000\n" + sha(b) + "\nab12", b
		}, "X-Ts", "1700000000", "X-Nonce", "ab12"), []string{`"{header.X-Ts}\n{text.inner}\n{header.X-Nonce}"`, "sha256 hex"}},
		"XML in GBK": {whole(`<?xml version="1.0" encoding="GBK"?><xml><id>ORDER</id><name>中文</name><sign>SIGN</sign></xml>`), []string{"receive xml charset gbk", "charset gbk\n"}},
		"some of the members": {beside(func(o string) string {
			return "a=1&b=2&date=2026&orderId=" + o + "&total=1.10&key=s3cr3t-of-the-merchant"
		}), []string{"sorted body only orderId total date a b", "&key={secret}"}},
		"some of the values": {beside(func(o string) string { return o + ",1.10,2026,1,2,s3cr3t-of-the-merchant" }), []string{"values orderId total date a b of body join ,", ",{secret}"}},
		"values in the order of names in any letters": {beside(func(o string) string {
			return "1|2|3|2026|x|" + o + "|1.10|s3cr3t-of-the-merchant"
		}), []string{"order name-fold", "|{secret}"}},
		"the digest of values, and the secret": {beside(func(o string) string {
			return md("x:"+o+":1.10:2026:1:2:3") + ":s3cr3t-of-the-merchant"
		}), []string{"md5 hex\n", ":{secret}"}},
		"a path before the members": {func(o string) *message.Message {
			m := message.New(message.Notification)
			m.Method, m.Path = "POST", "/notify"
			m.Wire = []byte("id=" + o + "&sign=" + md("/notify?id="+o+"&key=s3cr3t-of-the-merchant"))
			return m
		}, []string{`prepend "{path}?"`}},
		"bare values and the secret under a MAC": {func(o string) *message.Message {
			m := message.New(message.Notification)
			m.Wire = []byte("b=2&id=" + o + "&sign=" + sum("2+"+o+"+s3cr3t-of-the-merchant"))
			return m
		}, []string{"of body join +", "+{secret}"}},
		"JSON that is sorted, of which the body is not": {header(func(o string) (string, string) {
			return `{"a":1,"id":"` + o + `","z":{"b":1,"c":2}}`, `{"z": {"c": 2, "b": 1}, "id": "` + o + `", "a": 1}`
		}), []string{"json body deep"}},
		"the media type and the date": {header(func(o string) (string, string) {
			b := `{"id":"` + o + `"}`
			return "POST\n" + md(b) + "\napplication/json\nThu, 01 Jan 2026 00:00:00 GMT\n/notify", b
		}, "Content-Type", "application/json", "Date", "Thu, 01 Jan 2026 00:00:00 GMT"), []string{`"{method}\n{text.inner}\n{header.Content-Type}\n{header.Date}\n{uri}"`}},
		"an object inside of the signature's": {func(o string) *message.Message {
			m := message.New(message.Notification)
			inner := `{"id":"` + o + `","x":{"y":1}}`
			m.Wire = []byte(`{"head":"1","msg":{"data":` + inner + `,"sign":"` + sum(inner) + `"}}`)
			return m
		}, []string{"raw body.msg.data"}},
		"the version in front": {func(o string) *message.Message {
			m := message.New(message.Notification)
			m.Wire = []byte(`{"id":"` + o + `"}`)
			m.Header.Set("X-Time", "1700000000")
			m.Header.Set("X-Sign", "v1="+sum("v1.1700000000."+string(m.Wire)))
			return m
		}, []string{`"v1.{header.X-Time}.{body}"`}},
		"a form": {func(o string) *message.Message {
			m := message.New(message.Notification)
			m.Wire = []byte("id=" + o + "&sign=" + md("id="+o+"&key=s3cr3t-of-the-merchant"))
			return m
		}, []string{"receive form\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			result := search(t, message.Notification, set, test.of("1001"), test.of("1002"))
			require.NotEmpty(t, result.Fits, result.Searched)
			for _, want := range test.want {
				assert.Contains(t, result.Fits[0].String(), want)
			}
			compile(t, result.Fits[0])
		})
	}
}

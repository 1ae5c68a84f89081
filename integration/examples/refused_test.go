package examples_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // Allinpay signs so
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

// party is somebody who signs: the provider, or a stranger.
type party struct {
	t   *testing.T
	key *rsa.PrivateKey
}

func newParty(t *testing.T) party {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return party{t, key}
}

func (p party) public() string {
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	require.NoError(p.t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (p party) private() string {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	require.NoError(p.t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (p party) sign(hash crypto.Hash, text string) string {
	h := hash.New()
	h.Write([]byte(text))
	raw, err := rsa.SignPKCS1v15(nil, p.key, hash, h.Sum(nil))
	require.NoError(p.t, err)
	return base64.StdEncoding.EncodeToString(raw)
}

// certificate is one in that name, made by the authority, which is a certificate of the
// same party's.
func (p party) certificate(authority party, serial int64, name string, ca bool) string {
	template := func(serial int64, name string, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template(serial, name, ca), template(1, "root", true), &p.key.PublicKey, authority.key)
	require.NoError(p.t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// answer is what a provider answers, or somebody in its place.
type answer struct {
	status int
	header map[string]string
	body   string
}

// What clients of these providers take for a good answer is refused by a Caddy that
// runs, with recipes that ship: an answer that nobody looks at, one whose signature is
// looked at only where there is one, a certificate that is taken as it comes, an error
// that is passed on because of its status. Alipay's error without a signature passes,
// and says that it is not verified.
func TestWhatClientsTakeIsRefused(t *testing.T) {
	merchant, provider, stranger, authority := newParty(t), newParty(t), newParty(t), newParty(t)
	merchantCertificate := merchant.certificate(authority, 5, "merchant", false)

	alipay := func(by party, response string) answer {
		return answer{200, nil, `{"alipay_trade_query_response":` + response + `,"sign":"` + by.sign(crypto.SHA256, response) + `"}`}
	}
	const paid = `{"code":"10000","msg":"Success","out_trade_no":"T1"}`
	allinpay := func(by party) answer {
		return answer{200, nil, `{"retcode":"SUCCESS","reqsn":"T1","sign":"` + by.sign(crypto.SHA1, "reqsn=T1&retcode=SUCCESS") + `"}`}
	}
	wechat := func(by party, status int, body string) answer {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		return answer{status, map[string]string{
			"Wechatpay-Timestamp": at, "Wechatpay-Nonce": "n", "Wechatpay-Serial": "PUB_KEY_ID_01",
			"Wechatpay-Signature": by.sign(crypto.SHA256, at+"\nn\n"+body+"\n"),
		}, body}
	}
	union := func(by party, certificate string) answer {
		members := []string{"orderId=T1", "respCode=00", "signPubKeyCert=" + certificate}
		digest := sha256.Sum256([]byte(strings.Join(members, "&")))
		return answer{200, nil, strings.Join(append(slices.Clone(members), "signature="+by.sign(crypto.SHA256, hex.EncodeToString(digest[:]))), "&")}
	}
	const unionpay = "041@8@中国银联股份有限公司@9"

	for _, c := range []struct {
		name, recipe string
		answer       answer
		verified     string // of an answer that passes
		reason       string // of one that does not
	}{
		{"signed", "alipay", alipay(provider, paid), "true", ""},
		{"an error without a signature", "alipay", answer{200, nil, `{"error_response":{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-app-id"}}`}, "false", ""},
		{"an error that is signed", "alipay", answer{200, nil, `{"error_response":{"code":"40002"},"sign":"` + provider.sign(crypto.SHA256, `{"code":"40002"}`) + `"}`}, "true", ""},
		{"an error that a stranger has signed", "alipay", answer{200, nil, `{"error_response":{"code":"40002"},"sign":"` + stranger.sign(crypto.SHA256, `{"code":"40002"}`) + `"}`}, "", "response_signature_invalid"},
		{"a success that calls itself an error", "alipay", answer{200, nil, `{"error_response":{"code":"10000"}}`}, "", "response_unsigned"},
		{"a success without a signature beside an error", "alipay", answer{200, nil, `{"error_response":{"code":"40002"},"alipay_trade_query_response":` + paid + `}`}, "", "response_unsigned"},
		{"a success without a signature", "alipay", answer{200, nil, `{"alipay_trade_query_response":` + paid + `}`}, "", "response_unsigned"},

		{"signed", "allinpay", allinpay(provider), "true", ""},
		{"not verified at all", "allinpay", allinpay(stranger), "", "response_signature_invalid"},
		{"verified only if a signature is there", "allinpay", answer{200, nil, `{"retcode":"SUCCESS","reqsn":"T1"}`}, "", "response_unsigned"},
		{"verified only if the signature is not empty", "allinpay", answer{200, nil, `{"retcode":"SUCCESS","reqsn":"T1","sign":""}`}, "", "response_unsigned"},

		{"signed", "unionpay", union(provider, provider.certificate(authority, 2, unionpay, false)), "true", ""},
		{"a certificate of anybody's authority", "unionpay", union(stranger, stranger.certificate(stranger, 2, unionpay, false)), "", "response_signature_invalid"},
		{"a certificate of another's name", "unionpay", union(stranger, stranger.certificate(authority, 3, "041@8@另一家商户@9", false)), "", "response_signature_invalid"},
		{"a certificate whose key did not sign", "unionpay", union(stranger, provider.certificate(authority, 2, unionpay, false)), "", "response_signature_invalid"},

		{"signed", "wechatpay-v3", wechat(provider, 200, `{"trade_state":"SUCCESS"}`), "true", ""},
		{"an error that is signed", "wechatpay-v3", wechat(provider, 404, `{"code":"ORDER_NOT_EXIST"}`), "true", ""},
		{"an error that a stranger has signed", "wechatpay-v3", wechat(stranger, 404, `{"code":"ORDER_NOT_EXIST"}`), "", "response_signature_invalid"},
		{"an error without a signature", "wechatpay-v3", answer{500, nil, `{"code":"SYSTEM_ERROR"}`}, "", "response_unsigned"},
	} {
		t.Run(c.recipe+" "+c.name, func(t *testing.T) {
			res, body := exchanged(t, c.recipe, c.answer, map[string]string{ //nolint:bodyclose // it was read and closed
				"alipay/sign.pem": merchant.private(), "alipay/verify.pem": provider.public(),
				"allinpay/sign.pem": merchant.private(), "allinpay/verify.pem": provider.public(),
				"unionpay/sign.pem": merchant.private() + merchantCertificate, "unionpay/verify.pem": authority.certificate(authority, 1, "root", true),
				"wechatpay-v3/sign.pem": merchant.private() + merchantCertificate, "wechatpay-v3/verify@PUB_KEY_ID_01.pem": provider.public(),
				"wechatpay-v3/secret": "0123456789abcdef0123456789abcdef",
			})
			if c.reason == "" {
				assert.Equal(t, c.answer.status, res.StatusCode, body)
				assert.Equal(t, c.verified, res.Header.Get("Countersign-Verified"), body)
				return
			}
			var problem struct{ Reason, Outcome string }
			require.NoError(t, json.Unmarshal([]byte(body), &problem), body)
			assert.Equal(t, http.StatusBadGateway, res.StatusCode)
			assert.Equal(t, [2]string{c.reason, "unverified"}, [2]string{problem.Reason, problem.Outcome}, body)
			assert.Empty(t, res.Header.Get("Countersign-Verified"))
		})
	}
}

// exchanged runs a Caddy with a recipe that ships, has an application ask it, and
// somebody give that answer.
func exchanged(t *testing.T, recipe string, a answer, keys map[string]string) (*http.Response, string) {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, value := range a.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(upstream.Close)
	dir := process.Folder(t)
	for name, text := range keys {
		file := filepath.Join(dir, "keys", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	c := process.New(t, dir, fmt.Sprintf(`{
	admin unix/$DIR/admin
	persist_config off
	countersign {
		keys file $DIR/keys
	}
}
http:// {
	bind unix/$DIR/application|0600
	countersign %[1]s %[2]s {
		keys %[1]s
	}
}
`, recipe, upstream.URL))
	c.Run()
	c.AwaitAdmin()
	client := process.Client("unix", c.Path("application"))
	defer client.CloseIdleConnections()
	res, err := client.Post("http://application/pay", "application/json", strings.NewReader(`{"orderId":"T1","reqsn":"T1"}`))
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

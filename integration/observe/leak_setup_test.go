package observe_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hoard is a place for keys of both sides, with recognisable secrets in them.
type hoard struct {
	dir                string
	merchant, provider *rsa.PrivateKey
	wrong              *rsa.PrivateKey // in files where it must not be
	secrets            *secrets
}

// newHoard makes keys for every scheme, and files that are not keys. They are
// outside of the sidecar's folder, in which nothing of them may turn up.
func newHoard(t *testing.T) *hoard {
	t.Helper()
	h := &hoard{dir: t.TempDir(), merchant: newKey(t), provider: newKey(t), wrong: newKey(t), secrets: newSecrets()}
	h.secrets.addKey("merchant's key", h.merchant)
	h.secrets.addKey("provider's key", h.provider)
	h.secrets.addKey("misplaced key", h.wrong)
	for side, keys := range map[string][2]*rsa.PrivateKey{"merchant": {h.merchant, h.provider}, "provider": {h.provider, h.merchant}} {
		_, own := encodeKey(keys[0])
		peer := encodePublic(&keys[1].PublicKey)
		for _, scheme := range []string{"easypay", "jeepay", "hkrt", "hbsk", "hongwen"} {
			h.write(t, side+"/"+scheme+"/M/sign.pem", own)
			h.write(t, side+"/"+scheme+"/M/decrypt.pem", own)
			h.write(t, side+"/"+scheme+"/M/verify.pem", peer)
			h.write(t, side+"/"+scheme+"/M/encrypt.pem", peer)
			h.write(t, side+"/"+scheme+"/M/secret", []byte(sharedSecret+"\n"))
		}
	}
	h.write(t, "token", []byte(vaultToken))
	h.writeBroken(t)
	return h
}

func (h *hoard) write(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join(h.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// broken are key sets that cannot be used, each with a secret in it.
var broken = []string{
	"text", "cut", "garbage", "binary", "encrypted", "public-for-private", "private-for-public", "several", "trailing",
	"empty-secret", "huge", "certificate", "unknown-label", "weak-exponent",
}

func (h *hoard) writeBroken(t *testing.T) {
	t.Helper()
	_, own := encodeKey(h.wrong)
	peer := encodePublic(&h.provider.PublicKey)
	inPEM := func(label, text string) []byte {
		return []byte("-----BEGIN " + label + "-----\n" + text + "\n-----END " + label + "-----\n")
	}
	for name, sign := range map[string][]byte{
		"text":               []byte(vaultToken + " " + cardNumber),
		"cut":                own[:len(own)/2],
		"garbage":            inPEM("PRIVATE KEY", "MIIC"+strings.ReplaceAll(vaultToken, ".", "")),
		"binary":             append([]byte{0x30, 0x82, 0, 1}, sharedSecret...),
		"encrypted":          inPEM("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"+vaultToken+"\n\n"+"MIIC"),
		"public-for-private": append(encodePublic(&h.wrong.PublicKey), vaultToken...),
		"private-for-public": own,
		"several":            append(own, own...),
		"trailing":           append(own, vaultToken...),
		"empty-secret":       own,
		"huge":               append(own, strings.Repeat(vaultToken, 20_000)...),
		"certificate":        inPEM("CERTIFICATE", "MIIC"),
		"unknown-label":      inPEM(vaultToken, "MIIC"),
		"weak-exponent":      own,
	} {
		h.write(t, "broken/"+name+"/sign.pem", sign)
		h.write(t, "broken/"+name+"/verify.pem", peer)
		h.write(t, "broken/"+name+"/encrypt.pem", peer)
		h.write(t, "broken/"+name+"/decrypt.pem", own)
	}
	h.write(t, "broken/private-for-public/verify.pem", own)
	h.write(t, "broken/empty-secret/secret", []byte("\n"))
	h.write(t, "broken/empty-secret/verify_secret", []byte(sharedSecret+"\n\n"+sharedSecret))
	// A key that loads, and that nothing can be encrypted under.
	h.write(t, "broken/weak-exponent/encrypt.pem", encodePublic(&rsa.PublicKey{N: h.provider.N, E: 1}))
}

// certificate is one with a secret in every name that it has.
func (h *hoard) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(987654321), Subject: pkix.Name{CommonName: vaultToken, Organization: []string{payerName}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"card-" + cardNumber + ".example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &h.provider.PublicKey, h.provider)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: h.provider}
}

// withSecrets puts recognisable values into a sample of the repository.
func withSecrets(t *testing.T, name string) []byte {
	t.Helper()
	text := string(sample(t, name))
	pairs := map[string][]string{
		"easypay": {
			"北京烤鸭一只,送货上门", payerName, "配送费", latinName, "门店货款", cardNumber, "第一分账方", idNumber, "第二分账方", vaultToken,
			`"transAmt": "100"`, `"transAmt": "987654421"`, `"transAmt": "30"`, `"transAmt": "` + amount + `"`, `"transAmt": "70"`, `"transAmt": "100"`,
		},
		"jeepay-bind": {"sfsfsd@qq.com", cardNumber, "张三", payerName, "我的第一个账号", latinName, "我的员工", idNumber, "M1623997000", "M", "60cc3ba74ee0e6685f57e000", "A"},
		"hkrt":        {`"receive_no": "833112128140726"`, `"receive_no": "` + cardNumber + `"`, `"remark": ""`, `"remark": "` + payerName + idNumber + `"`, `"0.01"`, `"` + amount + `.01"`},
		"hbsk":        {"H7638527", cardNumber, "2022111791728765", idNumber, `"amount": 1`, `"amount": ` + amount},
		"hongwen":     {"10021011", cardNumber, `"amount": "100"`, `"amount": "` + amount + `"`, "1001213", idNumber},
	}[name]
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i], name)
	}
	return []byte(strings.NewReplacer(pairs...).Replace(text))
}

// The site of the application: every scheme, every form, everything that can be
// made to fail.
func leakSites(raw *rawProvider, h *hoard) string {
	handlers := []string{"tracing {\nspan leak\n}"}
	add := func(text string) { handlers = append(handlers, text) }
	route := func(path, scheme, upstream, keys string, options ...string) {
		add("handle_path /" + path + "/* {\ncountersign " + scheme + " " + upstream + " {\nprofile " + path + "\nkeys " + keys + "\n" + strings.Join(options, "\n") + "\n}\n}")
	}
	schemes := map[string]string{"easypay": "", "jeepay": "mch_no M\napp_id A", "hkrt": "access_id M", "hbsk": "developer_key M", "hongwen": "mch_no M\nmethod trade.apply.divide.back"}
	for scheme, options := range schemes {
		route(scheme, scheme, provider, scheme+"/M", options)
		route("long-"+scheme, scheme, provider, scheme+"/M", options)
		add("handle /notify-" + scheme + " {\ncountersign_notify " + scheme + " {\nmax_request_body 16KiB\nkeys " + scheme + "/M\n}\nrespond success\n}")
	}
	route("jeepay-rsa2", "jeepay", provider, "jeepay/M", "mch_no M", "app_id A", "sign_type RSA2")
	route("unsealable", "easypay", provider, "easypay/M", "envelope_prefix "+strings.Repeat("p", 500))
	route("dynamic", "easypay", provider, "easypay/{body.orgTermNo}")
	// Each on a connection of its own: one that the provider is closing would
	// lose the answer that is to be looked at. The others keep theirs.
	route("raw", "easypay", raw.address, "easypay/M", "http {\nkeepalive off\n}", "timeout 5s", "max_response_body 64KiB", "max_request_body 16KiB")
	route("pass", "easypay", raw.address, "easypay/M", "unsigned_responses pass", "forward_headers X-Shop")
	route("hurried", "easypay", raw.address, "easypay/M", "timeout 100ms")
	route("single", "easypay", raw.address, "easypay/M", "max_in_flight 1")
	route("tls", "easypay", "https://"+raw.address, "easypay/M")
	route("badcert", "easypay", "https://"+raw.tls, "easypay/M")
	route("h2", "easypay", raw.h2, "easypay/M", "http {\nversions h2c\n}")
	route("viaproxy", "easypay", "https://provider.invalid", "easypay/M", "http {\nnetwork_proxy url http://"+raw.address+"\n}")
	route("down", "easypay", "127.0.0.1:1 127.0.0.1:2", "easypay/M", "reverse_proxy {\nlb_retries 1\n}")
	route("long-raw", "easypay", raw.address, "easypay/M")
	route("vault", "easypay", provider, "vault easypay/M")
	route("vault-odd", "easypay", provider, "vault x/{body.orgTermNo}")
	for _, name := range broken {
		route("broken-"+name, "easypay", provider, "broken "+name)
	}
	add("handle /notify-own {\ncountersign_notify easypay {\nkeys easypay/M\nexpect bizData.oriOrgTrace OURS*\n}\nrespond ok\n}")
	add("handle /notify-window {\ncountersign_notify jeepay {\nkeys jeepay/M\nwindow 1m\n}\nrespond success\n}")
	add("handle /notify-store {\ncountersign_notify easypay {\nkeys easypay/M\nonce 1m redis redis://" + raw.address + " {\npassword {env.REDIS_PASSWORD}\n}\n}\nrespond ok\n}")
	add("handle /notify-slow {\ncountersign_notify easypay {\nkeys easypay/M\ntimeout 200ms\n}\nrewrite * /hold\nreverse_proxy " + raw.address + "\n}")
	add("handle /notify-once {\ncountersign_notify easypay {\nkeys easypay/M\nonce 1m\n}\nrewrite * /hold\nreverse_proxy " + raw.address + "\n}")
	add("handle_path /notify-app/* {\ncountersign_notify easypay {\nkeys easypay/M\n}\nreverse_proxy " + raw.address + "\n}")
	add("handle_errors {\nheader X-Problem {http.countersign.problem}\nrespond \"{err.message} {http.countersign.problem}\"\n}")

	quiet := site("8085", "quiet", "handle_path /easypay/* {\ncountersign easypay "+provider+" {\nkeys easypay/M\n}\n}")
	sandboxes := site("9090", "provider",
		"handle /ledger/* {\ncountersign_sandbox easypay {\nkeys provider easypay/M\n}\n}",
		"handle /api/division/* {\ncountersign_sandbox jeepay {\nkeys provider jeepay/M\nnotify http://"+raw.address+"/malformed\n}\n}",
		"handle /api/v1/delay-ledger/* {\ncountersign_sandbox hkrt {\nkeys provider hkrt/M\n}\n}",
		"handle /gateway.do* {\ncountersign_sandbox hongwen {\nkeys provider hongwen/M\n}\n}",
		"handle /share/* {\ncountersign_sandbox hbsk {\nkeys provider hbsk/M\n}\n}")
	return "{\nadmin unix/$DIR/admin|0600\npersist_config off\ngrace_period 5s\ndebug\nservers {\ntrace\n}\n" +
		"log default {\noutput file $DIR/default.log\nformat json\nlevel DEBUG\n}\n" +
		"countersign {\nkeys file " + h.dir + "/merchant\n" + source(h.dir+"/provider") + source(h.dir+"/broken") +
		"keys vault http://" + raw.address + " {\nname vault\nkv kv\nrefresh 100ms\nauth token_file " + h.dir + "/token\n}\n}\n}\n" +
		app(handlers...) + quiet + sandboxes + watching() + site("9091", "inspector", "countersign_inspector {\nkeep 5000\n}")
}

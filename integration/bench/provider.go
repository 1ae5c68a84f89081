package main

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
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// provider is a payment provider as the bench plays it: one request and the
// answer to it.
type provider struct {
	scheme    string
	reference string // of the key set, below keys-dev/merchant and keys-dev/provider
	options   string // of the directive, besides keys
	path      string // of the endpoint
	rsaBits   int    // size of the key that signs; 0 for a digest with a shared secret

	// request is the body that an application posts, with a text of pad.
	request func(pad string) string
	// answer is the provider's answer and its signature, with a text of pad.
	answer func(k keySet, pad string) string
}

var providers = []provider{
	{
		scheme: "jeepay", reference: "jeepay/M1623997351", path: "/api/division/exec",
		request: func(pad string) string {
			return fmt.Sprintf(`{"mchNo":"M1623997351","appId":"60cc3ba74ee0e6685f57eb1e","payOrderId":"P202108271011463510002","useSysAutoDivisionReceivers":"0","receivers":[{"receiverGroupId":"","receiverId":"800029","divisionProfit":"0.0001"}],"extParam":%q}`, pad)
		},
		answer: func(k keySet, pad string) string {
			sign := k.md5("attach=" + pad + "&errMsg=ok&payOrderId=P202108271011463510002&state=2&key=")
			return fmt.Sprintf(`{"code":0,"data":{"attach":%q,"errMsg":"ok","payOrderId":"P202108271011463510002","state":2},"msg":"SUCCESS","sign":%q}`, pad, sign)
		},
	},
	{
		scheme: "hkrt", reference: "hkrt/405544499f016a9b3d8f57000f", path: "/api/v1/delay-ledger/ledger",
		options: "access_id 405544499f016a9b3d8f57000f",
		request: func(pad string) string {
			return fmt.Sprintf(`{"agent_no":"FF109108120","merch_no":"83320253445099","trade_no":"UN2312320546186687318899","apply_no":"202301040535","ledger_relation":[{"receive_no":"833112128140726","amt":"0.01","remark":%q}]}`, pad)
		},
		answer: func(k keySet, pad string) string {
			sign := k.md5("apply_no=202301040535&ledger_no=23050605482166772759516&remark=" + pad + "&return_code=10000")
			return fmt.Sprintf(`{"apply_no":"202301040535","ledger_no":"23050605482166772759516","remark":%q,"return_code":10000,"sign":%q}`, pad, sign)
		},
	},
	{
		scheme: "hbsk", reference: "hbsk/d787d45a68b48", path: "/share/apply",
		options: "developer_key d787d45a68b48",
		request: func(pad string) string {
			return fmt.Sprintf(`{"data":{"orders":["2022111791728765"],"holders":[{"amount":1,"code":"H7638527"}],"sequence":"2022111767655444","remark":%q}}`, pad)
		},
		answer: func(k keySet, pad string) string {
			data := fmt.Sprintf(`{"sequence":"2022111767655444","state":"success","remark":%q}`, pad)
			mac := hmac.New(sha256.New, k.secret)
			mac.Write([]byte("data=" + data + "&time=1668672190"))
			return fmt.Sprintf(`{"code":0,"data":%q,"sign":"%x","time":1668672190}`, data, mac.Sum(nil))
		},
	},
	{
		scheme: "easypay", reference: "easypay/ORG000000000007", path: "/ledger/mpos", rsaBits: 1024,
		request: func(pad string) string {
			return fmt.Sprintf(`{"orgId":"ORG000000000007","orgMercode":"831135358120001","orgTermNo":"21120433","orgTrace":"ORG0000720220224055510123456","prodCode":"W04","bizData":{"oriOrgTrace":"ORG0000720220224031331542213","transCount":"1","transAmt":"1","orderSubDetails":[{"orgMercode":"831135358120002","orgTermno":"21120434","transAmt":"1","body":%q}]}}`, pad)
		},
		answer: func(k keySet, pad string) string {
			sign := k.rsa("oriOrgTrace=ORG0000720220224031331542213&remark=" + pad + "&tradeRetCode=00&transAmt=1&transCount=1")
			return fmt.Sprintf(`{"sysRetCode":"000000","sign":%q,"signType":"SHA256withRSA","bizData":{"tradeRetCode":"00","oriOrgTrace":"ORG0000720220224031331542213","remark":%q,"transCount":"1","transAmt":"1"}}`, sign, pad)
		},
	},
	{
		scheme: "hongwen", reference: "hongwen/2014072300007148", path: "/gateway.do", rsaBits: 2048,
		options: "mch_no 2014072300007148\nmethod trade.apply.divide.back",
		request: func(pad string) string {
			return fmt.Sprintf(`{"biz_content":{"divide_out_trade_no":"20150320010101001","divide_back_out_trade_no":"20150320010101002","divide_back_detail":[{"account":"10021011","amount":"100"}],"remark":%q}}`, pad)
		},
		answer: func(k keySet, pad string) string {
			sign := k.rsa("code=20000&divide_back_out_trade_no=20150320010101002&msg=success&remark=" + pad)
			return fmt.Sprintf(`{"code":20000,"msg":"success","divide_back_out_trade_no":"20150320010101002","remark":%q,"sign":%q}`, pad, sign)
		},
	},
}

// padding is text that makes a body of about kib KiB.
func padding(kib int) string {
	return strings.Repeat("分账0", (kib<<10-300)/len("分账0"))
}

// keySet is the provider's half of a development key set.
type keySet struct {
	secret []byte
	sign   *rsa.PrivateKey
	verify *rsa.PublicKey // the merchant's
}

// loadKeys reads what there is of a set.
func loadKeys(reference string) (k keySet, err error) {
	dir := filepath.Join("keys-dev/provider", reference)
	if text, err := os.ReadFile(filepath.Join(dir, "secret")); err == nil {
		k.secret = []byte(strings.TrimRight(string(text), "\r\n"))
	}
	for name, parse := range map[string]func([]byte) (any, error){
		"sign.pem": x509.ParsePKCS8PrivateKey, "verify.pem": x509.ParsePKIXPublicKey,
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		block, _ := pem.Decode(text)
		if err != nil || block == nil {
			return k, fmt.Errorf("reading %s of %s: no PEM block: %w", name, reference, err)
		}
		key, err := parse(block.Bytes)
		if err != nil {
			return k, fmt.Errorf("parsing %s of %s: %w", name, reference, err)
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			k.sign = key
		case *rsa.PublicKey:
			k.verify = key
		}
	}
	return k, nil
}

// md5 returns the upper-case hexadecimal digest of a text and the secret behind it.
func (k keySet) md5(text string) string {
	sum := md5.Sum(append([]byte(text), k.secret...))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// rsa returns the Base64 of a PKCS#1 v1.5 signature with SHA-256.
func (k keySet) rsa(text string) string {
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.sign, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // the key is a fixed, valid one
	}
	return base64.StdEncoding.EncodeToString(signature)
}

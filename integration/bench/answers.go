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

// providerKeys are the development keys of the providers' side.
const providerKeys = "keys-dev/provider"

// answerOf makes a signed answer with a member of pad in it, for each path that
// is posted to.
var answerOf = map[string]func(pad string) (string, error){
	"/api/division/exec":          jeepayAnswer(false),
	"/api/division/exec-rsa2":     jeepayAnswer(true),
	"/api/v1/delay-ledger/ledger": hkrtAnswer,
	"/share/apply":                hbskAnswer,
	"/ledger/mpos":                easypayAnswer,
	"/gateway.do":                 hongwenAnswer,
}

func jeepayAnswer(rsa2 bool) func(string) (string, error) {
	return func(pad string) (string, error) {
		message := "attach=" + pad + "&errMsg=ok&payOrderId=P202108271011463510002&state=2&"
		var sig string
		var err error
		if rsa2 {
			sig, err = signRSA("jeepay/M1623997351", message)
		} else {
			var secret string
			secret, err = secretOf("jeepay/M1623997351")
			sum := md5.Sum([]byte(message + "key=" + secret))
			sig = strings.ToUpper(hex.EncodeToString(sum[:]))
		}
		return fmt.Sprintf(`{"code":0,"data":{"attach":%q,"errMsg":"ok","payOrderId":"P202108271011463510002","state":2},"msg":"SUCCESS","sign":%q}`, pad, sig), err
	}
}

func hkrtAnswer(pad string) (string, error) {
	secret, err := secretOf("hkrt/405544499f016a9b3d8f57000f")
	sum := md5.Sum([]byte("apply_no=202301040535&ledger_no=23050605482166772759516&remark=" + pad + "&return_code=10000" + secret))
	return fmt.Sprintf(`{"apply_no":"202301040535","ledger_no":"23050605482166772759516","remark":%q,"return_code":10000,"sign":%q}`, pad, strings.ToUpper(hex.EncodeToString(sum[:]))), err
}

func hbskAnswer(pad string) (string, error) {
	secret, err := secretOf("hbsk/d787d45a68b48")
	data := fmt.Sprintf(`{"sequence":"2022111767655444","state":"success","remark":%q}`, pad)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("data=" + data + "&time=1668672190"))
	return fmt.Sprintf(`{"code":0,"data":%q,"sign":%q,"time":1668672190}`, data, hex.EncodeToString(mac.Sum(nil))), err
}

func easypayAnswer(pad string) (string, error) {
	message := "oriOrgTrace=ORG0000720220224031331542213&remark=" + pad + "&tradeRetCode=00&transAmt=1&transCount=1"
	sig, err := signRSA("easypay/ORG000000000007", message)
	return fmt.Sprintf(`{"sysRetCode":"000000","sign":%q,"signType":"SHA256withRSA","bizData":{"tradeRetCode":"00","oriOrgTrace":"ORG0000720220224031331542213","remark":%q,"transCount":"1","transAmt":"1"}}`, sig, pad), err
}

func hongwenAnswer(pad string) (string, error) {
	message := "code=20000&divide_back_out_trade_no=20150320010101002&msg=success&remark=" + pad
	sig, err := signRSA("hongwen/2014072300007148", message)
	return fmt.Sprintf(`{"code":20000,"msg":"success","divide_back_out_trade_no":"20150320010101002","remark":%q,"sign":%q}`, pad, sig), err
}

func secretOf(reference string) (string, error) {
	text, err := os.ReadFile(filepath.Join(providerKeys, reference, "secret"))
	return strings.TrimRight(string(text), "\r\n"), err
}

func signRSA(reference, message string) (string, error) {
	key, err := privateKey(filepath.Join(providerKeys, reference, "sign.pem"))
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(message))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	return base64.StdEncoding.EncodeToString(sig), err
}

func privateKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("reading %s: it is not PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("reading %s: it is a %T, no RSA key", path, parsed)
	}
	return key, nil
}

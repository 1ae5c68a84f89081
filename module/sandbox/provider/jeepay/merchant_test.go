package jeepay

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
)

type object = map[string]any

const secret = "offline-test-key"

// merchant is the other side, written without the provider's code.
type merchant struct {
	t      *testing.T
	sides  providertest.Sides
	params object
	path   string
	method string
	fault  provider.Fault
	// sent is a change to the request after it was signed.
	sent func(params object)
}

func newMerchant(t *testing.T, path, file string) *merchant {
	m := &merchant{t: t, sides: providertest.RSA(t, 2048), path: path, method: "MD5"}
	m.params = decode(t, providertest.File(t, file))
	return m
}

// decode reads JSON with numbers as tokens.
func decode(t *testing.T, text []byte) object {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var params object
	require.NoError(t, dec.Decode(&params), string(text))
	return params
}

// canonicalOf returns the page's string. The names of the tests hold no capital
// that would come elsewhere than its small letter.
func canonicalOf(params object) string {
	var pieces []string
	for name, value := range params {
		var text string
		switch v := value.(type) {
		case string:
			text = v
		case json.Number:
			text = v.String()
		case float64:
			panic("a float")
		}
		if name != "sign" && text != "" {
			pieces = append(pieces, name+"="+text+"&")
		}
	}
	sort.Slice(pieces, func(i, j int) bool { return strings.ToLower(pieces[i]) < strings.ToLower(pieces[j]) })
	return strings.Join(pieces, "")
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (m *merchant) request() provider.Request {
	m.params["signType"] = m.method
	canonical := canonicalOf(m.params)
	if m.method == "RSA2" {
		m.params["sign"] = providertest.Sign(m.t, m.sides.Merchant, canonical)
	} else {
		m.params["sign"] = md5Hex(canonical + "key=" + secret)
	}
	if m.sent != nil {
		m.sent(m.params)
	}
	body, err := json.Marshal(m.params)
	require.NoError(m.t, err)
	return m.raw(string(body))
}

func (m *merchant) raw(body string) provider.Request {
	return provider.Request{
		Path: m.path, ContentType: "application/json", Body: []byte(body),
		Keys: m.sides.Keys(secret), Fault: m.fault, Now: providertest.Now,
	}
}

// read returns the answer and whether its data is genuinely signed.
func (m *merchant) read(body []byte) (answer, data object, genuine bool) {
	answer = decode(m.t, body)
	data, _ = answer["data"].(object)
	sign, _ := answer["sign"].(string)
	if sign == "" {
		return answer, data, false
	}
	if m.method == "RSA2" {
		return answer, data, providertest.Verifies(m.t, &m.sides.Provider.PublicKey, canonicalOf(data), sign)
	}
	return answer, data, sign == md5Hex(canonicalOf(data)+"key="+secret)
}

// form reads a notification.
func (m *merchant) form(n *provider.Notification) (params object, genuine bool) {
	require.NotNil(m.t, n)
	require.Equal(m.t, "application/x-www-form-urlencoded", n.ContentType)
	values, err := url.ParseQuery(string(n.Body))
	require.NoError(m.t, err)
	params = object{}
	for name, list := range values {
		require.Len(m.t, list, 1)
		params[name] = list[0]
	}
	return params, params["sign"] == md5Hex(canonicalOf(params)+"key="+secret)
}

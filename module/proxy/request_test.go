package proxy_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

func nested(levels int) string {
	return `{"bizData":{"a":"1"},"x":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + "}"
}

// Every line of the error table that is decided before a byte leaves: status,
// outcome and body, and the provider never hears of it.
func TestRefusedRequests(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_request_body 4KiB")
	plain := `{"bizData":{"oriOrgTrace":"1"}}`
	header := testcaddy.Header
	method := func(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }

	for name, c := range map[string]struct {
		body   string
		change []func(*http.Request)
		want   want
	}{
		"empty":            {"", nil, notSent("invalid_request", 400, "the request body is empty")},
		"white space":      {" \n", nil, notSent("invalid_request", 400, "the request body is empty")},
		"not JSON":         {"oriOrgTrace=1", nil, notSent("invalid_request", 400, "not valid JSON")},
		"an array":         {"[" + plain + "]", nil, notSent("invalid_request", 400, "not a JSON object")},
		"a string":         {`"{}"`, nil, notSent("invalid_request", 400, "not a JSON object")},
		"null":             {`null`, nil, notSent("invalid_request", 400, "not a JSON object")},
		"half of it":       {plain[:20], nil, notSent("invalid_request", 400, "not valid JSON")},
		"two objects":      {plain + plain, nil, notSent("invalid_request", 400, "more after the object")},
		"gzip, not said":   {"\x1f\x8b\x08\x00", nil, notSent("invalid_request", 400, "compressed with gzip")},
		"UTF-16":           {"{\x00\"\x00b\x00\"\x00:\x001\x00}\x00", nil, notSent("invalid_request", 400, "is UTF-16, not UTF-8")},
		"UTF-16 with BOM":  {"\xfe\xff\x00{\x00}", nil, notSent("invalid_request", 400, "is UTF-16, not UTF-8")},
		"GBK":              {"{\"bizData\":{\"a\":\"\xd6\xd0\"}}", nil, notSent("invalid_request", 400, "looks like GBK")},
		"Latin-1":          {"{\"bizData\":{\"a\":\"caf\xe9\"}}", nil, notSent("invalid_request", 400, "not UTF-8 near byte 20")},
		"Big5":             {"{\"bizData\":{\"a\":\"\xb3\\\xa5\\\xbb\\\"}}", nil, notSent("invalid_request", 400, "not UTF-8")},
		"a lone surrogate": {`{"bizData":{"a":"\ud800"}}`, nil, notSent("invalid_request", 400, "not valid JSON")},
		"a member twice":   {`{"bizData":{"transAmt":"1","transAmt":"2"}}`, nil, notSent("invalid_request", 400, "the same member name twice")},
		"a member twice in another spelling": {`{"bizData":{"transAmt":"1","transAm\u0074":"2"}}`, nil,
			notSent("invalid_request", 400, "the same member name twice")},
		"101 levels":   {nested(101), nil, notSent("invalid_request", 400, "more than 100 levels")},
		"5000 levels":  {nested(1500), nil, notSent("invalid_request", 400, "more than 100 levels")},
		"no bizData":   {`{"orgId":"1"}`, nil, notSent("unprocessable_request", 422, "bizData")},
		"null bizData": {`{"bizData":null}`, nil, notSent("unprocessable_request", 422, "bizData")},
		"a bizData that is a string": {`{"bizData":"{\"oriOrgTrace\":\"1\"}"}`, nil,
			notSent("unprocessable_request", 422, "bizData")},
		"a bizData that is an array": {`{"bizData":[]}`, nil, notSent("unprocessable_request", 422, "bizData")},
		"an object in bizData": {`{"bizData":{"oriOrgTrace":{"planted":1}}}`, nil,
			notSent("unprocessable_request", 422, "bizData: member oriOrgTrace: an object or a list")},
		"an array in bizData": {`{"bizData":{"oriOrgTrace":["planted"]}}`, nil,
			notSent("unprocessable_request", 422, "bizData: member oriOrgTrace: an object or a list")},

		"a page with Origin":         {plain, []func(*http.Request){header("Origin", "https://evil.example")}, notSent("forbidden_origin", 403, "web page")},
		"a page with a null Origin":  {plain, []func(*http.Request){header("Origin", "null")}, notSent("forbidden_origin", 403, "web page")},
		"a page with Sec-Fetch-Site": {plain, []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, notSent("forbidden_origin", 403, "web page")},
		"a page of the same site":    {plain, []func(*http.Request){header("Sec-Fetch-Site", "same-origin")}, notSent("forbidden_origin", 403, "web page")},
		"a page that asks first": {"", []func(*http.Request){method(http.MethodOptions), header("Origin", "https://evil.example"),
			header("Access-Control-Request-Method", "POST")}, notSent("forbidden_origin", 403, "web page")},
		"a form of a page": {"a=1", []func(*http.Request){header("Origin", "https://evil.example"),
			header("Content-Type", "application/x-www-form-urlencoded")}, notSent("forbidden_origin", 403, "web page")},

		"GET":    {"", []func(*http.Request){method(http.MethodGet)}, notSent("method_not_allowed", 405, "POST")},
		"PUT":    {plain, []func(*http.Request){method(http.MethodPut)}, notSent("method_not_allowed", 405, "POST")},
		"DELETE": {"", []func(*http.Request){method(http.MethodDelete)}, notSent("method_not_allowed", 405, "POST")},
		"PATCH":  {plain, []func(*http.Request){method(http.MethodPatch)}, notSent("method_not_allowed", 405, "POST")},

		"no type":      {plain, []func(*http.Request){func(r *http.Request) { r.Header.Del("Content-Type") }}, notSent("unsupported_media_type", 415, "it has none")},
		"an empty one": {plain, []func(*http.Request){header("Content-Type", "")}, notSent("unsupported_media_type", 415, "it has none")},
		"text":         {plain, []func(*http.Request){header("Content-Type", "text/plain")}, notSent("unsupported_media_type", 415, "application/json")},
		"text/json":    {plain, []func(*http.Request){header("Content-Type", "text/json")}, notSent("unsupported_media_type", 415, "application/json")},
		"a form":       {plain, []func(*http.Request){header("Content-Type", "application/x-www-form-urlencoded")}, notSent("unsupported_media_type", 415, "application/json")},
		"several":      {plain, []func(*http.Request){func(r *http.Request) { r.Header.Add("Content-Type", "application/json") }}, notSent("unsupported_media_type", 415, "application/json")},
		"a list":       {plain, []func(*http.Request){header("Content-Type", "application/json, text/plain")}, notSent("unsupported_media_type", 415, "application/json")},
		"JSON in GBK":  {plain, []func(*http.Request){header("Content-Type", "application/json; charset=gbk")}, notSent("unsupported_media_type", 415, "application/json")},
		"JSON lines":   {plain, []func(*http.Request){header("Content-Type", "application/jsonl")}, notSent("unsupported_media_type", 415, "application/json")},
		"gzip":         {gzipped(plain), []func(*http.Request){header("Content-Encoding", "gzip")}, notSent("unsupported_media_type", 415, "Content-Encoding")},
		"too large":    {`{"bizData":{"a":"` + strings.Repeat("x", 4096) + `"}}`, nil, notSent("request_too_large", 413, "max_request_body")},
		"a byte more":  {padded(plain, 4097), nil, notSent("request_too_large", 413, "max_request_body")},
		"chunked, too": {padded(plain, 4097), []func(*http.Request){chunked}, notSent("request_too_large", 413, "max_request_body")},
	} {
		t.Run(name, func(t *testing.T) {
			answer := s.post([]byte(c.body), c.change...)
			s.problem(t, answer, c.want)
			assert.NotContains(t, string(answer.Body), "planted")
			if c.want.code == "method_not_allowed" {
				assert.Equal(t, "POST", answer.Header.Get("Allow"))
			}
			entry := s.Logs.Audit(t, s.asked)
			assert.Zero(t, entry.Number("upstream_status"))
			assert.Empty(t, entry.String("canonical_sha256"))
			assert.Empty(t, entry["key_fingerprints"])
		})
	}
	assert.Zero(t, d.Accepted(), "none of them made a connection")
	assert.NotContains(t, s.Logs.Text(), "planted")

	t.Run("and a good one passes", func(t *testing.T) {
		s.ok(t, s.post(sample(t)))
		assert.Equal(t, 1, d.Delivered())
	})
}

func gzipped(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}

// padded returns an object of exactly n bytes.
func padded(object string, n int) string {
	return strings.TrimSuffix(object, "}") + strings.Repeat(" ", n-len(object)) + "}"
}

// chunked leaves out the length.
func chunked(r *http.Request) {
	body := r.Body
	r.ContentLength, r.GetBody = -1, nil
	r.Body = io.NopCloser(struct{ io.Reader }{body})
}

// What is legal passes, whatever its form.
func TestTakenRequests(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "max_request_body 8KiB")
	good := string(sample(t))
	for name, c := range map[string]struct {
		body   string
		change []func(*http.Request)
	}{
		"chunked":               {good, []func(*http.Request){chunked}},
		"as large as may be":    {padded(strings.TrimSpace(good), 8192), nil},
		"chunked and as large":  {padded(strings.TrimSpace(good), 8192), []func(*http.Request){chunked}},
		"with a charset":        {good, []func(*http.Request){testcaddy.Header("Content-Type", "application/json; charset=UTF-8")}},
		"in other letters":      {good, []func(*http.Request){testcaddy.Header("Content-Type", "Application/JSON;charset=\"utf-8\"")}},
		"a type of JSON's own":  {good, []func(*http.Request){testcaddy.Header("Content-Type", "application/json")}},
		"with Expect":           {good, []func(*http.Request){testcaddy.Header("Expect", "100-continue")}},
		"with a trailer":        {good, []func(*http.Request){chunked, func(r *http.Request) { r.Trailer = http.Header{"X-Trailer": {"x"}} }}},
		"100 levels":            {strings.Replace(good, `"prodCode"`, `"deep":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`,"prodCode"`, 1), nil},
		"with a BOM as a value": {strings.Replace(good, `"W04"`, "\"\ufeffW04\"", 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			before := d.Delivered()
			s.ok(t, s.post([]byte(c.body), c.change...))
			require.Equal(t, before+1, d.Delivered())
			got := d.Last(t)
			assert.NotContains(t, strings.ToLower(string(got.Raw)), "transfer-encoding", "what leaves has a length")
			assert.NotContains(t, strings.ToLower(string(got.Raw)), "trailer")
			assert.NotContains(t, strings.ToLower(string(got.Raw)), "expect")
		})
	}
}

// A client that hangs up while it sends leaves nothing at the provider.
func TestClientThatSendsHalf(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	for name, head := range map[string]string{
		"with a length": "Content-Length: 1000\r\n\r\n{\"bizData\":{}}",
		"chunked":       "Transfer-Encoding: chunked\r\n\r\nf\r\n{\"bizData\":{}}\r\n",
		"broken chunks": "Transfer-Encoding: chunked\r\n\r\nzz\r\n{\"bizData\":{}}\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, s.url)
			defer conn.Close()
			_, err := io.WriteString(conn, "POST /easypay/ledger/mpos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"+head)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			s.asked++
			entry := s.Logs.Audit(t, s.asked)
			assert.Equal(t, "invalid_request", entry.String("outcome"))
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil { // it may still read
				defer res.Body.Close()
				assert.Equal(t, 400, res.StatusCode)
				assert.Equal(t, "not_sent", res.Header.Get("Countersign-Outcome"))
			}
		})
	}
	assert.Zero(t, d.Accepted())
}

// dial connects to a URL's host.
func dial(t testing.TB, url string) net.Conn {
	t.Helper()
	address := strings.SplitN(strings.TrimPrefix(url, "http://"), "/", 2)[0]
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	require.NoError(t, err)
	return conn
}

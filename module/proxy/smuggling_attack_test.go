package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// openSidecar returns a sidecar that serves whatever Host a request names.
func openSidecar(t *testing.T, upstream, global, options string) *sidecar {
	t.Helper()
	address := testcaddy.FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	text := strings.Replace(sidecarText(address, upstream, options), "http://"+address, "http://:"+port, 1)
	text = strings.Replace(text, "{", "{\n"+global, 1)
	return &sidecar{Caddy: testcaddy.Run(t, text), t: t, url: "http://" + address + "/easypay/ledger/mpos"}
}

// patient answers every request on a connection, so that a second one, hidden
// in the first, would be answered and counted as well.
func (d *double) patient(c *testcaddy.Conn) {
	for {
		r := c.Request()
		if r == nil {
			return
		}
		c.Answer(200, "Content-Type: application/json\r\n", easypayAnswer(d.keys, r, "").Body)
	}
}

// plainHead is all that the head of a request to the provider may consist of.
var plainHead = regexp.MustCompile(`^POST (/[!-~]*) HTTP/1\.1\r\n((?:(?:Host|Content-Length|Content-Type|Accept|User-Agent|Accept-Encoding|X-Trace): [\t -~]*\r\n)+)\r\n$`)

// wellFormed checks the bytes of a request as the provider got them: one head,
// with nothing in it that was not put there, and one body of the length that
// was announced, which verifies.
func (d *double) wellFormed(t *testing.T, r *testcaddy.Received) {
	t.Helper()
	head, text, found := bytes.Cut(r.Raw, []byte("\r\n\r\n"))
	require.True(t, found)
	require.Regexp(t, plainHead, string(head)+"\r\n\r\n")
	lines := strings.Split(string(head), "\r\n")[1:]
	names := make(map[string]string)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		assert.NotContains(t, names, name, "a header twice")
		names[name] = value
	}
	assert.Equal(t, d.Address, names["Host"])
	assert.Equal(t, strconv.Itoa(len(text)), names["Content-Length"], "there is more than the body")
	assert.Contains(t, names["Content-Type"], "application/json")
	object, err := body.Parse(text)
	require.NoError(t, err)
	_, signed := object.Text("sign")
	assert.True(t, signed)
	answer := easypayAnswer(d.keys, r, "")
	assert.NotContains(t, answer.Seen, "验签失败")
	assert.Contains(t, answer.Seen, "verified")
}

// raw sends bytes as they are and reads until the sidecar closes, two seconds
// at most.
func (s *sidecar) raw(t *testing.T, text string) string {
	t.Helper()
	conn := dial(t, s.url)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Second)))
	go func() { _, _ = io.WriteString(conn, text) }()
	out, _ := io.ReadAll(conn) // what came before the deadline, or before it was closed
	return string(out)
}

// attack is bytes that an application sends, and what may come of them.
type attack struct {
	text     string
	requests int // that the provider sees
	target   string
}

// attacks sends each of them to a sidecar of its own connection.
func (s *sidecar) attacks(t *testing.T, d *double, all map[string]attack) {
	t.Helper()
	for name, a := range all {
		t.Run(name, func(t *testing.T) {
			before, seen := d.Delivered(), len(d.Received())
			out := s.raw(t, a.text)
			assert.Equal(t, a.requests, d.Delivered()-before, "%s", out)
			for _, r := range d.Received()[seen:] {
				d.wellFormed(t, r)
				if a.target != "" {
					assert.Equal(t, a.target, r.Target)
				}
				assert.NotContains(t, strings.ToLower(string(r.Raw)), "smuggled")
				assert.NotContains(t, strings.ToLower(string(r.Raw)), "evil.example")
			}
			for line := range strings.SplitSeq(out, "\r\n") {
				assert.NotContains(t, line, "evil.example")
			}
		})
	}
}

func TestSmuggling(t *testing.T) {
	d := newDouble(t)
	d.set(d.patient)
	s := openSidecar(t, d.Address, "", "forward_headers X-Trace\n timeout 2s")
	good := strings.TrimSpace(string(sample(t)))
	n := len(good)
	const line, end = "POST /easypay/ledger/mpos HTTP/1.1\r\nHost: a\r\n", "Connection: close\r\n\r\n"
	const json = "Content-Type: application/json\r\n"
	const hidden = "GET /easypay/smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n"
	// with is a request with more headers before its length.
	with := func(headers string) string {
		return fmt.Sprintf("%s%s%sContent-Length: %d\r\n%s%s", line, json, headers, n, end, good)
	}
	// chunked is a request whose body is given in chunks.
	chunked := func(headers, chunks string) string {
		return line + json + headers + "Transfer-Encoding: chunked\r\n" + end + chunks
	}
	chunk := fmt.Sprintf("%x\r\n%s\r\n", n, good)
	lengths := func(values ...string) string {
		out := line + json
		for _, v := range values {
			out += "Content-Length: " + v + "\r\n"
		}
		return out + end + good
	}

	s.attacks(t, d, map[string]attack{
		"plain": {with(""), 1, "/ledger/mpos"},

		// Two lengths.
		"length and chunks, the length shorter": {chunked("Content-Length: 4\r\n", chunk+"0\r\n\r\n"), 1, ""},
		"length and chunks, the length longer":  {chunked(fmt.Sprintf("Content-Length: %d\r\n", 10*n), chunk+"0\r\n\r\n"), 1, ""},
		"length and no chunk, and a request":    {chunked(fmt.Sprintf("Content-Length: %d\r\n", len(hidden)+5), "0\r\n\r\n"+hidden), 0, ""},
		"chunks and a request behind":           {chunked("", chunk+"0\r\n\r\n"+hidden), 1, ""},
		"a length and a request behind":         {with("") + hidden, 1, ""},
		"a shorter length":                      {lengths(strconv.Itoa(n - 1)), 0, ""},
		"a length of zero and a request":        {line + json + "Content-Length: 0\r\n\r\n" + hidden, 0, ""},
		"two lengths that differ":               {lengths(strconv.Itoa(n), "0"), 0, ""},
		"two lengths in one":                    {lengths(fmt.Sprintf("%d, %d", n, n)), 0, ""},
		"a length with a plus":                  {lengths("+" + strconv.Itoa(n)), 0, ""},
		"a negative length":                     {lengths("-1"), 0, ""},
		"a hexadecimal length":                  {lengths(fmt.Sprintf("0x%x", n)), 0, ""},
		"a length beyond 64 bits":               {lengths("18446744073709551616"), 0, ""},
		"a length with a blank in it":           {lengths("1 " + strconv.Itoa(n)), 0, ""},
		"no length at all":                      {line + json + end + good, 0, ""},
		"a length in the name of another":       {with("Content_Length: 4\r\nContent-Length\x00: 4\r\n"), 0, ""},
		"a length with an underscore":           {with("Content_Length: 4\r\nTransfer_Encoding: chunked\r\nHTTP_HOST: evil.example\r\n"), 1, ""},
		"an encoding that is none":              {with("Transfer-Encoding: xchunked\r\n"), 0, ""},
		"an encoding in other letters":          {line + json + "tRANSFER-eNCODING: CHUNKED\r\n" + end + chunk + "0\r\n\r\n", 1, ""},
		"an encoding with a blank before colon": {with("Transfer-Encoding : chunked\r\n"), 0, ""},
		"an encoding with a vertical tab":       {with("Transfer-Encoding: \x0bchunked\r\n"), 0, ""},
		"an encoding after a bare CR":           {with("X: y\rTransfer-Encoding: chunked\r\n"), 0, ""},
		"an encoding after a fold":              {with("X: y\r\n Transfer-Encoding: chunked\r\n"), 1, ""},
		"an encoding that is folded":            {line + json + "Transfer-Encoding:\r\n chunked\r\n" + end + chunk + "0\r\n\r\n", 1, ""},
		"two encodings":                         {with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 0, ""},
		"two encodings in one":                  {with("Transfer-Encoding: gzip, chunked\r\n"), 0, ""},
		"identity":                              {with("Transfer-Encoding: identity\r\n"), 0, ""},
		"chunks for HTTP/1.0":                   {strings.Replace(chunked("", chunk+"0\r\n\r\n"), "HTTP/1.1", "HTTP/1.0", 1), 0, ""},
		"a compressed body":                     {with("Content-Encoding: gzip\r\n"), 0, ""},
		"no content type":                       {strings.Replace(with(""), json, "", 1), 0, ""},
		"two content types":                     {with("Content-Type: text/plain\r\n"), 0, ""},
		"the head ends with bare line feeds":    {strings.ReplaceAll(strings.Replace(with(""), good, "", 1), "\r\n", "\n") + good, 1, ""},
		"a NUL in a value":                      {with("X: a\x00b\r\n"), 0, ""},
		"a line without a colon":                {with("smuggled\r\n"), 0, ""},
		"a name of two words":                   {with("X Y: smuggled\r\n"), 0, ""},
		"a name beyond ASCII":                   {with("X-é: smuggled\r\n"), 0, ""},
		"a value beyond ASCII":                  {with("X-Other: smuggl\xe9d\r\n"), 1, ""},
		"a forwarded value with a tab":          {with("X-Trace: a\tb\r\n"), 1, ""},
		"a fold in a forwarded value":           {with("X-Trace: a\r\n b\r\n"), 1, ""},
		"a bare CR in a forwarded value":        {with("X-Trace: a\rHost: evil.example\r\n"), 0, ""},
		"percent-encoded lines in a value":      {with("X-Trace: a%0d%0aSmuggle: 1\r\n"), 1, ""},
		"a huge header":                         {with("X-Other: " + strings.Repeat("x", 2<<20) + "\r\n"), 0, ""},
		"very many headers":                     {with(strings.Repeat("X-Other: smuggled\r\n", 20000)), 0, ""},
		"a method in other letters":             {strings.Replace(with(""), "POST", "post", 1), 0, ""},
		"another method in a header":            {with("X-HTTP-Method-Override: DELETE\r\nX-Method-Override: PUT\r\n"), 1, ""},
		"a method with a tab":                   {strings.Replace(with(""), "POST ", "POST\t", 1), 0, ""},
		"a version of ours":                     {strings.Replace(with(""), "HTTP/1.1", "HTTP/1.10", 1), 0, ""},
		"no version":                            {strings.Replace(with(""), " HTTP/1.1", "", 1), 0, ""},
		"HTTP/2 in the line":                    {strings.Replace(with(""), "HTTP/1.1", "HTTP/2.0", 1), 0, ""},
		"a connection preface":                  {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + with(""), 0, ""},
		"an upgrade to h2c":                     {strings.Replace(with("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), "Connection: close", "Connection: Upgrade, HTTP2-Settings", 1), 1, ""},
		"an upgrade to a socket":                {strings.Replace(with("Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n"), "Connection: close", "Connection: Upgrade", 1), 1, ""},

		// Chunks.
		"chunks":                               {chunked("", chunk+"0\r\n\r\n"), 1, ""},
		"an extension":                         {chunked("", fmt.Sprintf("%x;a=b;c=\"d\"\r\n%s\r\n0;smuggled\r\n\r\n", n, good)), 1, ""},
		"an extension with a bare line feed":   {chunked("", fmt.Sprintf("%x;a\n%s\r\n0\r\n\r\n", n, good)), 0, ""},
		"an extension with a bare CR":          {chunked("", fmt.Sprintf("%x;a\rb\r\n%s\r\n0\r\n\r\n", n, good)), 0, ""},
		"a huge extension":                     {chunked("", fmt.Sprintf("%x;%s\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("x", 1<<20), good)), 0, ""},
		"a size with a bare line feed":         {chunked("", fmt.Sprintf("%x\n%s\r\n0\r\n\r\n", n, good)), 0, ""},
		"a size with a prefix":                 {chunked("", "0x"+chunk+"0\r\n\r\n"), 0, ""},
		"a size with a plus":                   {chunked("", "+"+chunk+"0\r\n\r\n"), 0, ""},
		"a negative size":                      {chunked("", "-"+chunk+"0\r\n\r\n"), 0, ""},
		"a size beyond 64 bits":                {chunked("", "1"+strings.Repeat("0", 16)+"\r\n"+good+"\r\n0\r\n\r\n"), 0, ""},
		"a size with a blank before":           {chunked("", " "+chunk+"0\r\n\r\n"), 0, ""},
		"a chunk that is longer than its size": {chunked("", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n-1, good)), 0, ""},
		"no line break behind a chunk":         {chunked("", fmt.Sprintf("%x\r\n%s0\r\n\r\n", n, good)), 0, ""},
		"two other bytes behind a chunk":       {chunked("", fmt.Sprintf("%x\r\n%sXX0\r\n\r\n", n, good)), 0, ""},
		"no last chunk":                        {chunked("", chunk), 0, ""},
		"many last zeros":                      {chunked("", chunk+"00000000\r\n\r\n"), 1, ""},
		"trailers":                             {chunked("Trailer: Host, X-Trace\r\n", chunk+"0\r\nHost: evil.example\r\nX-Trace: smuggled\r\nContent-Length: 1\r\n\r\n"), 1, ""},
		"a trailer of ours":                    {chunked("Trailer: X-Trace\r\n", chunk+"0\r\nX-Trace: smuggled\r\n\r\n"), 1, ""},
		"a trailer that is not announced":      {chunked("", chunk+"0\r\nX-Trace: smuggled\r\n\r\n"), 1, ""},
		"a trailer that names the length":      {chunked("Trailer: Content-Length\r\n", chunk+"0\r\nContent-Length: 1\r\n\r\n"), 0, ""},

		// Headers that Connection names, which a proxy takes out.
		"Connection names Content-Type":      {strings.Replace(with(""), "Connection: close", "Connection: close, Content-Type", 1), 1, ""},
		"Connection names Content-Length":    {strings.Replace(with(""), "Connection: close", "Connection: close, Content-Length, Host, Transfer-Encoding", 1), 1, ""},
		"Connection names what is forwarded": {strings.Replace(with("X-Trace: t\r\n"), "Connection: close", "Connection: close, X-Trace, User-Agent", 1), 1, ""},
		"Connection names many":              {strings.Replace(with(""), "Connection: close", "Connection: close,"+strings.Repeat("Content-Type,", 1000), 1), 1, ""},
		"Keep-Alive and the like":            {with("Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: smuggled\r\nTE: trailers, deflate\r\n"), 1, ""},

		// Expect.
		"Expect":           {with("Expect: 100-continue\r\n"), 1, ""},
		"another Expect":   {with("Expect: smuggled\r\n"), 0, ""},
		"Expect, no body":  {strings.TrimSuffix(with("Expect: 100-continue\r\n"), good), 0, ""},
		"Expect, no chunk": {chunked("Expect: 100-continue\r\n", "0\r\n\r\n"), 0, ""},
	})
	for _, r := range d.Received() {
		assert.NotContains(t, r.Header, "Expect")
	}
}

// TestServerSideRequests are the games with targets and hosts: whatever they
// name, the bytes go to the configured provider, under its own name.
func TestServerSideRequests(t *testing.T) {
	d := newDouble(t)
	d.set(d.patient)
	s := openSidecar(t, d.Address, "", "")
	good := strings.TrimSpace(string(sample(t)))
	request := func(target string, hosts ...string) string {
		out := "POST " + target + " HTTP/1.1\r\n"
		for _, host := range hosts {
			out += "Host: " + host + "\r\n"
		}
		return fmt.Sprintf("%sContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", out, len(good), good)
	}
	touched := make(chan struct{}, 100)
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer elsewhere.Close()
	go func() {
		for {
			c, err := elsewhere.Accept()
			if err != nil {
				return
			}
			touched <- struct{}{}
			_ = c.Close()
		}
	}()
	other := elsewhere.Addr().String()

	s.attacks(t, d, map[string]attack{
		"another host":                      {request("/easypay/x", other), 1, "/x"},
		"a host of another name":            {request("/easypay/x", "169.254.169.254"), 1, "/x"},
		"two hosts":                         {request("/easypay/x", "a", "b"), 0, ""},
		"no host":                           {request("/easypay/x"), 0, ""},
		"an empty host":                     {request("/easypay/x", ""), 0, ""},
		"a host with a path":                {request("/easypay/x", "a/b"), 0, ""},
		"a host with a user":                {request("/easypay/x", "a@"+other), 0, ""},
		"a host with a blank":               {request("/easypay/x", "a b"), 0, ""},
		"a host with lines":                 {request("/easypay/x", "a\r\nX-Forwarded-Host: "+other), 1, "/x"},
		"an absolute target":                {request("http://"+other+"/easypay/x", "a"), 1, "/x"},
		"an absolute target with https":     {request("https://"+other+"/easypay/x", "a"), 1, "/x"},
		"an absolute target with a user":    {request("http://a:b@"+other+"/easypay/x", "a"), 1, "/x"},
		"an absolute target, other schemes": {request("gopher://"+other+"/easypay/x", "a"), 1, "/x"},
		"a file":                            {request("file:///easypay/x", "a"), 1, "/x"},
		"an authority":                      {request(other, "a"), 0, ""},
		"a star":                            {request("*", "a"), 0, ""},
		"an opaque target":                  {request("http:easypay/x", "a"), 0, ""},
		"no slash":                          {request("easypay/x", "a"), 0, ""},
		"CONNECT":                           {strings.Replace(request(other, other), "POST", "CONNECT", 1), 0, ""},
		"two slashes":                       {request("//"+other+"/easypay/x", "a"), 0, ""},
		"two slashes and ours":              {request("//easypay/x", "a"), 1, "/x"},
		"two slashes behind":                {request("/easypay//"+other+"/x", "a"), 1, "/" + other + "/x"},
		"three slashes behind":              {request("/easypay///"+other, "a"), 1, ""},
		"encoded slashes behind":            {request("/easypay/%2f%2f"+other+"/x", "a"), 1, ""},
		"a backslash":                       {request(`/easypay/\`+other, "a"), 1, ""},
		"an at sign":                        {request("/easypay/@"+other, "a"), 1, "/@" + other},
		"an at sign in front":               {request("/easypay@"+other+"/", "a"), 0, ""},
		"a colon":                           {request("/easypay/:80@"+other, "a"), 1, ""},
		"dots":                              {request("/easypay/../admin", "a"), 0, ""},
		"dots and a semicolon":              {request("/easypay/..;/admin", "a"), 1, "/..;/admin"},
		"encoded dots":                      {request("/easypay/%2e%2e/admin", "a"), 0, ""},
		"encoded dots and slashes":          {request("/easypay/x%2f..%2f..%2fadmin", "a"), 0, ""},
		"twice encoded":                     {request("/easypay/%252e%252e%252fadmin", "a"), 1, "/%252e%252e%252fadmin"},
		"overlong dots":                     {request("/easypay/%c0%ae%c0%ae/admin", "a"), 1, ""},
		"a NUL":                             {request("/easypay/a%00b", "a"), 1, "/a%00b"},
		"lines":                             {request("/easypay/a%0d%0aHost:%20evil", "a"), 1, "/a%0d%0aHost:%20evil"},
		"lines in the query":                {request("/easypay/a?b=%0d%0aHost:%20evil", "a"), 1, "/a?b=%0d%0aHost:%20evil"},
		"a bare line feed":                  {request("/easypay/a\nHost: evil", "a"), 0, ""},
		"a blank":                           {request("/easypay/a b", "a"), 0, ""},
		"a tab":                             {request("/easypay/a\tb", "a"), 0, ""},
		"a bad escape":                      {request("/easypay/a%zz", "a"), 0, ""},
		"a fragment":                        {request("/easypay/a#b", "a"), 1, ""},
		"a query that is an address":        {request("/easypay/a?http://"+other+"/", "a"), 1, "/a?http://" + other + "/"},
		"a placeholder":                     {request("/easypay/{http.request.host}/{env.HOME}", "a"), 1, ""},
		"a placeholder in the query":        {request("/easypay/a?x={env.HOME}", "a"), 1, ""},
		"a very long target":                {request("/easypay/"+strings.Repeat("a", 100<<10), "a"), 0, ""},
	})
	for _, r := range d.Received() {
		assert.Equal(t, d.Address, r.Host)
		assert.NotContains(t, r.Target, "/root")
	}
	assert.Empty(t, touched, "the sidecar connected to a host that a request names")
}

// TestHTTP2FromTheApplication speaks HTTP/2 to a sidecar that allows it without
// TLS: what leaves is as ever.
func TestHTTP2FromTheApplication(t *testing.T) {
	d := newDouble(t)
	d.set(d.patient)
	s := openSidecar(t, d.Address, "servers {\n\t\tprotocols h1 h2c\n\t}", "forward_headers X-Trace")
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for name, c := range map[string]struct {
		change   func(r *http.Request)
		requests int
	}{
		"plain":            {func(*http.Request) {}, 1},
		"another host":     {func(r *http.Request) { r.Host = "evil.example" }, 1},
		"no length":        {func(r *http.Request) { r.ContentLength = -1 }, 1},
		"a trailer":        {func(r *http.Request) { r.Trailer = http.Header{"X-Trace": {"smuggled"}}; r.ContentLength = -1 }, 1},
		"an underscore":    {func(r *http.Request) { r.Header["content_length"] = []string{"4"} }, 1},
		"Expect":           {func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, 1},
		"another method":   {func(r *http.Request) { r.Method = "PUT" }, 0},
		"lines in a path":  {func(r *http.Request) { r.URL.Path += "/a\r\nHost: evil" }, 1},
		"another Host":     {func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "evil.example") }, 1},
		"a cookie":         {func(r *http.Request) { r.Header.Set("Cookie", "a=smuggled; b=smuggled") }, 1},
		"no type":          {func(r *http.Request) { r.Header.Del("Content-Type") }, 0},
		"lines in a value": {func(r *http.Request) { r.Header.Set("X-Trace", "a%0d%0ab") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			before, seen := d.Delivered(), len(d.Received())
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, bytes.NewReader(sample(t)))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			c.change(r)
			res, err := transport.RoundTrip(r)
			require.NoError(t, err)
			defer res.Body.Close()
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			assert.Equal(t, 2, res.ProtoMajor)
			assert.Equal(t, c.requests, d.Delivered()-before, "%d", res.StatusCode)
			for _, one := range d.Received()[seen:] {
				d.wellFormed(t, one)
				assert.NotContains(t, string(one.Raw), "smuggled")
			}
		})
	}
}

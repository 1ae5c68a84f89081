package observe_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// rawProvider speaks what is almost HTTP, with secrets wherever there is room
// for them. The last part of a request's path picks the answer.
type rawProvider struct {
	address, tls, h2 string
	answers          map[string]string
	hold             chan struct{} // closed when held requests may be answered
}

// everything are the secrets in a line.
const everything = cardNumber + " " + payerName + " " + latinName + " " + vaultToken + " " + idNumber + " " + sharedSecret

func newRawProvider(t *testing.T, h *hoard) *rawProvider {
	t.Helper()
	p := &rawProvider{hold: make(chan struct{})}
	h.write(t, "provider.pem", pemOf(h))
	p.answers = rawAnswers(t, h)
	p.address = p.listen(t, func(listener net.Listener) net.Listener { return listener }, p.serve)
	p.tls = p.listen(t, func(listener net.Listener) net.Listener {
		return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{h.certificate(t)}, MinVersion: tls.VersionTLS12})
	}, p.serve)
	p.h2 = p.listen(t, func(listener net.Listener) net.Listener { return listener }, goAway)
	return p
}

func pemOf(h *hoard) []byte {
	_, text := encodeKey(h.provider)
	return text
}

func (p *rawProvider) listen(t *testing.T, wrap func(net.Listener) net.Listener, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	accepting := wrap(listener)
	go func() {
		for {
			conn, err := accepting.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// serve answers requests, and whatever else comes.
func (p *rawProvider) serve(conn net.Conn) {
	reader := bufio.NewReader(conn)
	for {
		first, err := reader.Peek(1)
		if err != nil {
			return
		}
		if first[0] == '*' { // Redis' protocol: old servers quote the password
			fmt.Fprintf(conn, "-ERR unknown command `HELLO`, with args beginning with: `3` `AUTH` `default` `%s` \r\n", password)
			_, _ = io.CopyN(io.Discard, reader, int64(reader.Buffered()))
			continue
		}
		if first[0] == 0x16 { // a TLS handshake
			fmt.Fprintf(conn, "HTTP/1.1 400 %s\r\n\r\n", everything)
			return
		}
		req, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		name := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
		switch {
		case req.Method == http.MethodConnect:
			fmt.Fprintf(conn, "HTTP/1.1 403 %s\r\n\r\n", everything)
			return
		case name == "hold":
			<-p.hold
		case strings.HasSuffix(req.URL.Path, "metadata/easypay/M"):
			name = "vault-metadata"
		case strings.HasSuffix(req.URL.Path, "data/easypay/M"):
			name = "vault-data"
		}
		answer, ok := p.answers[name]
		if !ok {
			answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
		if !strings.HasPrefix(name, "keep-") {
			time.Sleep(5 * time.Millisecond)
			return
		}
	}
}

// goAway speaks HTTP/2 and ends the connection with a secret.
func goAway(conn net.Conn) {
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if _, ok := frame.(*http2.HeadersFrame); ok {
			_ = framer.WriteGoAway(0, http2.ErrCodeProtocol, []byte(everything))
			return
		}
	}
}

// rawAnswers returns the answers by name.
func rawAnswers(t *testing.T, h *hoard) map[string]string {
	t.Helper()
	signed := func(members map[string]string) string {
		return string(genuine(t, h.dir+"/provider.pem", members))
	}
	framed := func(status, header, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
	}
	inJSON := "Content-Type: application/json\r\n"
	plain := `{"sysRetCode":"` + everything + `","bizData":{"name":"` + payerName + `","card":"` + cardNumber + `"}}`
	var zipped bytes.Buffer
	zipped.WriteString("\x1f\x8b\x08\x18\x00\x00\x00\x00\x00\x03" + everything + "\x00" + cardNumber + "\x00broken" + everything)

	fields := make(map[string]string)
	for role, file := range map[string]string{"sign": "sign.pem", "decrypt": "decrypt.pem", "verify": "verify.pem", "encrypt": "encrypt.pem", "secret": "secret"} {
		text, err := os.ReadFile(filepath.Join(h.dir, "merchant/easypay/M", file))
		require.NoError(t, err)
		fields[role] = string(text)
	}
	return map[string]string{
		// What Vault answers.
		"lookup-self":    framed("200 OK", inJSON, vaultAnswer(map[string]any{"renewable": false, "ttl": 3600, "id": vaultToken})),
		"vault-metadata": framed("200 OK", inJSON, vaultAnswer(map[string]any{"current_version": 1, "versions": map[string]any{"1": map[string]any{"created_time": "2026-01-01T00:00:00Z"}}})),
		"vault-data":     framed("200 OK", inJSON, vaultAnswer(map[string]any{"data": fields, "metadata": map[string]any{"version": 1, "created_time": "2026-01-01T00:00:00Z"}})),
		"vault-errors":   framed("400 Bad Request", inJSON, `{"errors":["`+everything+`"]}`),
		"vault-denied":   framed("403 Forbidden", inJSON, `{"errors":["permission denied for `+everything+`"]}`),

		// What is not quite HTTP.
		"status-line":       "HTTP/1.1 " + everything + "\r\n\r\n",
		"status-text":       framed("200 "+everything, inJSON, plain),
		"not-http":          everything + "\r\n\r\n",
		"protocol":          "SSH-2.0-" + everything + "\r\n",
		"malformed":         everything + "\r\n\r\n",
		"header-line":       "HTTP/1.1 200 OK\r\n" + everything + "\r\n\r\n",
		"header-name":       "HTTP/1.1 200 OK\r\nX " + everything + ": 1\r\n\r\n",
		"header-continued":  "HTTP/1.1 200 OK\r\n " + everything + "\r\n\r\n",
		"length-number":     "HTTP/1.1 200 OK\r\nContent-Length: " + cardNumber + "\r\n\r\n" + plain,
		"length-text":       "HTTP/1.1 200 OK\r\nContent-Length: " + everything + "\r\n\r\n" + plain,
		"length-twice":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: " + amount + "\r\n\r\n" + plain,
		"transfer-encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + everything + "\r\n\r\n" + plain,
		"chunk-size":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + everything + "\r\n",
		"chunk-extension":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=" + everything + "\r\n{}\r\n0\r\n\r\n",
		"trailer":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Card\r\n\r\n2\r\n{}\r\n0\r\nX-Card: " + everything + "\r\n\r\n",
		"trailer-line":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + everything + "\r\n\r\n",
		"cut":               "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + plain,
		"cut-header":        "HTTP/1.1 200 OK\r\nX-Card: " + everything,
		"early-hints":       "HTTP/1.1 103 Early Hints\r\nLink: <" + everything + ">\r\n\r\n" + framed("200 OK", inJSON, plain),
		"early-malformed":   "HTTP/1.1 103 Early Hints\r\n" + everything + "\r\n\r\n",
		"switching":         "HTTP/1.1 101 " + everything + "\r\nUpgrade: " + everything + "\r\nConnection: Upgrade\r\n\r\n" + everything,
		// More than was announced, on a connection that is kept.
		"keep-extra":  framed("200 OK", inJSON, `{}`) + everything,
		"keep-extra2": framed("200 OK", inJSON, plain) + "HTTP/1.1 200 OK\r\nX-Card: " + everything + "\r\n\r\n",

		// HTTP, with secrets in headers.
		"headers": framed("200 OK", "Server: "+everything+"\r\nSet-Cookie: "+everything+"\r\nWWW-Authenticate: "+everything+
			"\r\nX-Card: "+everything+"\r\nCountersign-Verified: "+everything+"\r\nWarning: "+everything+"\r\n", plain),
		"redirect":       framed("302 Found", "Location: http://127.0.0.1:1/"+cardNumber+"?"+vaultToken+"\r\n", ""),
		"type-number":    framed("200 OK", "Content-Type: application/"+cardNumber+"\r\n", plain),
		"type-text":      framed("200 OK", "Content-Type: "+everything+"\r\n", plain),
		"type-parameter": framed("200 OK", "Content-Type: text/html; charset="+vaultToken+"; card="+cardNumber+"\r\n", plain),
		"encoding":       framed("200 OK", "Content-Encoding: "+everything+"\r\n", plain),
		"gzip":           framed("200 OK", "Content-Encoding: gzip\r\n", zipped.String()),
		"unauthorized":   framed("401 "+everything, "WWW-Authenticate: Basic realm=\""+everything+"\"\r\n", plain),
		"strange-status": framed("999 "+everything, inJSON, plain),
		"no-content":     "HTTP/1.1 204 " + everything + "\r\nX-Card: " + everything + "\r\n\r\n",

		// Bodies.
		"html":         framed("200 OK", "Content-Type: text/html\r\n", "<h1>"+everything+"</h1>"),
		"unsigned":     framed("200 OK", inJSON, plain),
		"array":        framed("200 OK", inJSON, `["`+everything+`"]`),
		"string":       framed("200 OK", inJSON, `"`+everything+`"`),
		"duplicate":    framed("200 OK", inJSON, `{"`+cardNumber+`":"`+payerName+`","`+cardNumber+`":"`+vaultToken+`"}`),
		"not-json":     framed("200 OK", inJSON, `{"card":`+everything+`}`),
		"not-utf8":     framed("200 OK", inJSON, "{\"card\":\""+everything+"\xff\"}"),
		"more":         framed("200 OK", inJSON, plain+everything),
		"large":        framed("200 OK", inJSON, `{"a":"`+strings.Repeat(everything, 1000)+`"}`),
		"sign-secret":  framed("200 OK", inJSON, `{"sign":"`+everything+`","bizData":{"card":"`+cardNumber+`"}}`),
		"sign-number":  framed("200 OK", inJSON, `{"sign":`+cardNumber+`,"bizData":{"card":"`+cardNumber+`"}}`),
		"sign-base64":  framed("200 OK", inJSON, `{"sign":"`+base64.StdEncoding.EncodeToString([]byte(everything))+`","bizData":{"card":"`+cardNumber+`"}}`),
		"bizdata-text": framed("200 OK", inJSON, `{"sign":"AAAA","bizData":"`+everything+`"}`),

		// Genuine ones.
		"mismatch":   framed("200 OK", inJSON, signed(map[string]string{"oriOrgTrace": cardNumber, "name": payerName})),
		"undecipher": framed("200 OK", inJSON, signed(map[string]string{"orderSubDetails": base64.StdEncoding.EncodeToString([]byte(everything)), "dgtlEnvlp": cardNumber})),
		"ambiguous":  framed("200 OK", inJSON, signed(map[string]string{"name": payerName + "&remark=" + cardNumber, "remark": vaultToken})),
		"genuine":    framed("200 OK", inJSON, signed(map[string]string{"name": payerName, "card": cardNumber, "token": vaultToken})),
		"ok":         framed("200 OK", "", "ok"),
		"hold":       framed("200 OK", "", "ok"),
	}
}

func vaultAnswer(data map[string]any) string {
	text, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		panic(err)
	}
	return string(text)
}

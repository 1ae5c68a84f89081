package proxy_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource/file"
	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/easypay"

	_ "github.com/countersign/caddy-countersign/module/app"
	_ "github.com/countersign/caddy-countersign/module/proxy"
	_ "github.com/countersign/caddy-countersign/module/sandbox"
)

// organisation is the key set of the development keys.
const organisation = "ORG000000000007"

// sample returns the page's sample request with orderSubDetails in plain.
func sample(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/easypay.json")
	require.NoError(t, err)
	return text
}

// providerKeys returns the provider's side of the development keys.
func providerKeys(t testing.TB) provider.Keys {
	t.Helper()
	source := &file.Source{Dir: testcaddy.DevKeys("provider")}
	set, err := source.Load(t.Context(), "easypay/"+organisation, nil)
	require.NoError(t, err)
	out := provider.Keys{Sign: set.Sign.Signer, Decrypt: set.Decrypt[0].Decrypter, Encrypt: set.Encrypt.RSA}
	for _, k := range set.Verify {
		out.Verify = append(out.Verify, k.RSA)
	}
	return out
}

// easypayAnswer returns what the provider makes of a request.
func easypayAnswer(held provider.Keys, request *testcaddy.Received, fault provider.Fault) provider.Answer {
	return easypay.New().Answer(provider.Request{
		Path: request.Target, ContentType: request.Header.Get("Content-Type"), Body: request.Body,
		Keys: held, Fault: fault, Now: time.Now(),
	})
}

// double is a provider whose behaviour a test changes between requests. Each
// connection serves one request.
type double struct {
	*testcaddy.Provider
	t      testing.TB
	keys   provider.Keys
	handle atomic.Pointer[func(*testcaddy.Conn)]
}

func newDouble(t testing.TB) *double {
	t.Helper()
	d := &double{t: t, keys: providerKeys(t)}
	d.set(d.genuine)
	d.Provider = testcaddy.NewProvider(t, func(c *testcaddy.Conn) { (*d.handle.Load())(c) })
	return d
}

func (d *double) set(handle func(*testcaddy.Conn)) { d.handle.Store(&handle) }

// closing is the header of an answer after which the connection is closed.
const closing = "Content-Type: application/json\r\nConnection: close\r\n"

// genuine answers as the provider does.
func (d *double) genuine(c *testcaddy.Conn) {
	if r := c.Request(); r != nil {
		c.Answer(200, closing, easypayAnswer(d.keys, r, "").Body)
	}
}

// answering reads the request and writes what change makes of the genuine
// answer.
func (d *double) answering(change func(c *testcaddy.Conn, genuine []byte)) func(*testcaddy.Conn) {
	return func(c *testcaddy.Conn) {
		if r := c.Request(); r != nil {
			change(c, easypayAnswer(d.keys, r, "").Body)
		}
	}
}

// sidecarText returns a sidecar for easypay as a Caddyfile.
func sidecarText(address, upstream, options string) string {
	return `{
	countersign {
		keys file ` + testcaddy.DevKeys("merchant") + `
	}
}
http://` + address + ` {
	log
	bind 127.0.0.1
	handle_path /easypay/* {
		countersign easypay ` + upstream + ` {
			keys easypay/` + organisation + `
			` + options + `
		}
	}
}
`
}

// sidecar is a Caddy that runs.
type sidecar struct {
	*testcaddy.Caddy
	t     testing.TB
	url   string
	asked int // requests that were answered, each with an audit and an access entry
}

// startSidecar runs a sidecar in front of an upstream.
func startSidecar(t testing.TB, upstream, options string) *sidecar {
	t.Helper()
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, sidecarText(address, upstream, options))
	return &sidecar{Caddy: c, t: t, url: "http://" + address + "/easypay/ledger/mpos"}
}

// post posts to the sidecar.
func (s *sidecar) post(body []byte, change ...func(*http.Request)) *testcaddy.Answer {
	s.t.Helper()
	answer := testcaddy.Post(s.t, s.url, body, change...)
	s.asked++
	return answer
}

// ok checks that an exchange went well, in the answer, the audit and the access
// log.
func (s *sidecar) ok(t testing.TB, answer *testcaddy.Answer) {
	t.Helper()
	require.Equal(t, 200, answer.Status, "%s", answer.Body)
	assert.Equal(t, "true", answer.Header.Get("Countersign-Verified"))
	assert.Equal(t, "bizData", answer.Header.Get("Countersign-Signed"))
	assert.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	assert.Empty(t, answer.Header.Get("Countersign-Outcome"))
	entry := s.Logs.Audit(t, s.asked)
	assert.Equal(t, "ok", entry.String("outcome"))
	access := s.Logs.Access(t, s.asked)
	assert.Equal(t, entry.String("id"), access.String("countersign_id"))
	assert.InDelta(t, 200, access.Number("status"), 0)
}

// want is what a failure must look like.
type want struct {
	code    string
	status  int
	outcome string

	// With unverified: the members about the answer.
	upstreamStatus      int
	upstreamContentType string
	upstreamCode        string

	detail string // a part of the detail
}

// The lines of the error table.
func notSent(code string, status int, detail string) want {
	return want{code: code, status: status, outcome: "not_sent", detail: detail}
}

func unknown(code string, status int) want {
	return want{code: code, status: status, outcome: "unknown"}
}

// saying is w with a part of the detail.
func saying(w want, detail string) want {
	w.detail = detail
	return w
}

func unverified(code string, upstreamStatus int) want {
	return want{code: code, status: 502, outcome: "unverified", upstreamStatus: upstreamStatus, upstreamContentType: "application/json"}
}

// problem checks a failure in the answer, the audit and the access log.
func (s *sidecar) problem(t testing.TB, answer *testcaddy.Answer, w want) map[string]any {
	t.Helper()
	p := checkProblem(t, answer, w)
	entry := s.Logs.Audit(t, s.asked)
	assert.Equal(t, w.code, entry.String("outcome"), "the audit")
	assert.Equal(t, p["id"], entry.String("id"), "the audit")
	access := s.Logs.Access(t, s.asked)
	assert.Equal(t, p["id"], access.String("countersign_id"), "the access log")
	assert.InDelta(t, w.status, access.Number("status"), 0, "the access log")
	return p
}

// checkProblem checks a failure in the answer.
func checkProblem(t testing.TB, answer *testcaddy.Answer, w want) map[string]any {
	t.Helper()
	require.Equal(t, w.status, answer.Status, "%s", answer.Body)
	assert.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
	assert.Equal(t, w.outcome, answer.Header.Get("Countersign-Outcome"))
	assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	assert.Empty(t, answer.Header.Get("Countersign-Verified"))
	assert.Empty(t, answer.Header.Get("Countersign-Signed"))
	p := answer.JSON(t)
	assert.Equal(t, "urn:countersign:problem:"+w.code, p["type"])
	assert.Equal(t, w.code, p["reason"])
	assert.InDelta(t, w.status, p["status"], 0)
	assert.Equal(t, w.outcome, p["outcome"])
	assert.NotEmpty(t, p["title"])
	assert.NotEmpty(t, p["detail"])
	assert.Contains(t, p["detail"], w.detail)
	assert.Regexp(t, `^[A-Z0-9]{26}$`, p["id"])
	members := []string{"type", "title", "status", "detail", "reason", "outcome", "id"}
	if w.upstreamStatus != 0 {
		members = append(members, "upstream_status")
		assert.InDelta(t, w.upstreamStatus, p["upstream_status"], 0)
	}
	if w.upstreamContentType != "" {
		members = append(members, "upstream_content_type")
		assert.Equal(t, w.upstreamContentType, p["upstream_content_type"])
	}
	if w.upstreamCode != "" {
		members = append(members, "upstream_code")
		assert.Equal(t, w.upstreamCode, p["upstream_code"])
	}
	for name := range p {
		assert.Contains(t, members, name, "a member that the contract does not have")
	}
	assert.Len(t, p, len(members))
	return p
}

// digestOf returns a SHA-256 in hex.
func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// spki returns the fingerprint of a public key.
func spki(t testing.TB, key *rsa.PublicKey) string {
	t.Helper()
	return keys.Fingerprint(key)
}

// replaceOnce replaces a part of a text that must be there.
func replaceOnce(t testing.TB, text []byte, old, replacement string) []byte {
	t.Helper()
	require.Equal(t, 1, bytes.Count(text, []byte(old)), "%q in %s", old, text)
	return bytes.Replace(text, []byte(old), []byte(replacement), 1)
}

func bare64(text []byte) string { return base64.StdEncoding.EncodeToString(text) }

func lines(text ...string) string { return strings.Join(text, "\n\t\t\t") }

// merchantKey returns the merchant's own private key.
func merchantKey(t testing.TB) *keys.PrivateKey {
	t.Helper()
	set, err := (&file.Source{Dir: testcaddy.DevKeys("merchant")}).Load(t.Context(), "easypay/"+organisation, nil)
	require.NoError(t, err)
	return set.Sign
}

// signBizData returns a message with a signed bizData.
func signBizData(t testing.TB, key crypto.Signer, members map[string]string) []byte {
	t.Helper()
	names := slices.Sorted(maps.Keys(members))
	pieces := make([]string, 0, len(names))
	for _, name := range names {
		pieces = append(pieces, name+"="+members[name])
	}
	digest := sha256.Sum256([]byte(strings.Join(pieces, "&")))
	sign, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	text, err := json.Marshal(map[string]any{"sign": bare64(sign), "signType": "SHA256withRSA", "bizData": members})
	require.NoError(t, err)
	return text
}

// postRaw posts on a connection that sees 1xx answers as well, and returns
// their status lines.
func (s *sidecar) postRaw(body []byte) (*testcaddy.Answer, []int) {
	s.t.Helper()
	var interim []int
	answer := s.post(body, func(r *http.Request) {
		*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
				interim = append(interim, code)
				return nil
			},
		}))
	})
	return answer, interim
}

package proxy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The headers that name what was verified.
const (
	headerVerified = "Countersign-Verified"
	headerSigned   = "Countersign-Signed"
)

// jsonType is the media type of requests and answers.
const jsonType = "application/json"

// reply is an answer as it came, not verified.
type reply struct {
	status      int
	contentType string
	header      http.Header
	body        []byte
}

// result is an answer that may be released.
type result struct {
	status      int
	body        []byte
	contentType string
	verified    bool
	signed      string
}

// read reads an answer whole, within the limit.
func (e *exchange) read(ctx context.Context, res *http.Response) *problem.Problem {
	rep := &e.reply
	*rep = reply{status: res.StatusCode, contentType: mediaType(res.Header.Get("Content-Type")), header: res.Header}
	e.entry.UpstreamStatus = res.StatusCode
	invalid := func(code problem.Reason, detail i18n.Text) *problem.Problem {
		return rep.describe(problem.New(code, detail, nil), message.New(message.Answer), e.t.rules)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return invalid(problem.ResponseInvalid, i18n.T("the provider wants to switch protocols"))
	}
	limit := e.t.MaxResponseBody
	if res.ContentLength > limit {
		return invalid(problem.ResponseTooLarge, i18n.T("the provider's answer is larger than max_response_body"))
	}
	from, err := undo(res.Body, res.Header["Content-Encoding"])
	if err != nil {
		return invalid(problem.ResponseInvalid, i18n.T("the provider's answer has a Content-Encoding that is not undone; gzip, deflate, br and zstd are, three of them at most"))
	}
	length := res.ContentLength
	if from != io.Reader(res.Body) {
		length = -1 // of the text
	}
	raw, err := network.ReadAll(from, length, limit)
	var broken *codingError
	switch {
	case err == nil:
		rep.body = raw
		return nil
	case errors.Is(err, network.ErrTooLarge):
		return invalid(problem.ResponseTooLarge, i18n.T("the provider's answer is larger than max_response_body"))
	case network.IsTimeout(ctx, err):
		return problem.New(problem.UpstreamTimeout, i18n.T("the provider's answer did not come whole within the timeout; ask it what became of the request"), nil)
	case errors.As(err, &broken):
		return invalid(problem.ResponseInvalid, i18n.T("the provider's answer is broken %s, or says that it is %[1]s and is not", broken.coding))
	default:
		return problem.New(problem.UpstreamFailed, i18n.T("the provider's answer broke off; ask it what became of the request"), network.Describe(err))
	}
}

// open verifies and opens an answer. Answers of every status are verified.
func (e *exchange) open() (result, *problem.Problem) {
	rep := &e.reply
	m := message.New(message.Answer)
	m.Status, m.Header, m.Wire = rep.status, rep.header, rep.body
	e.inspection.reads(m)
	var format message.Format // JSON, where the provider does not sign its answers
	if rules := e.t.rules.Answer; rules != nil {
		format = rules.Format
	}
	unreadable := format.Read(m)
	refuse := func(reason problem.Reason, detail i18n.Text, cause error) (result, *problem.Problem) {
		return result{}, rep.describe(problem.New(reason, detail, cause), m, e.t.rules)
	}
	switch {
	case rep.status >= 300 && rep.status < 400:
		return refuse(problem.ResponseInvalid, i18n.T("the provider redirects, which is never followed"), nil)
	case rep.status < 200 || rep.status > 599:
		return refuse(problem.ResponseInvalid, i18n.T("the provider's answer has a status that means nothing"), nil)
	case unreadable != nil && body.LooksLikeGzip(rep.body):
		return refuse(problem.ResponseInvalid, i18n.T("the provider's answer is compressed with gzip, and no Content-Encoding says so: have the provider name it"), nil)
	case unreadable != nil && body.LooksLikeUTF16(rep.body):
		return refuse(problem.ResponseInvalid, i18n.T("the provider's answer is UTF-16, not UTF-8: have the provider send UTF-8"), nil)
	case unreadable != nil && format.LooksLikeGBK(rep.body):
		return refuse(problem.ResponseInvalid, i18n.T("the provider's answer is not UTF-8; it looks like GBK: have the provider send UTF-8, or say so in the recipe with receive … charset gbk"), nil)
	case unreadable != nil && !utf8.Valid(rep.body):
		return refuse(problem.ResponseInvalid, i18n.T("the provider's answer is not UTF-8 near byte %d: have the provider send UTF-8", body.ValidUTF8(rep.body)), nil)
	case unreadable != nil:
		return refuse(problem.ResponseInvalid, i18n.T("the provider's answer is refused: %v", unreadable), nil)
	}
	in := scheme.Incoming{Message: m, Keys: e.keys, Now: time.Now(), Request: e.sealed}
	verified, err := scheme.Open(e.t.scheme, in)
	if reason := scheme.ReasonOf(err); reason == scheme.BadSignature || reason == scheme.Decryption || reason == scheme.NeedsKeys {
		// The provider may have rotated its key since the request was sealed.
		if newer := e.t.ring.Newer(e.keys); newer != nil {
			in.Keys = newer
			if again, err2 := scheme.Open(e.t.scheme, in); err2 == nil {
				verified, err = again, nil
			}
		}
	}
	switch {
	case scheme.ReasonOf(err) == scheme.Unsigned && e.t.UnsignedResponses == "pass" && m.Payload != nil:
		return unverified(rep), nil
	case err != nil:
		e.diagnosis = e.t.diagnoses.Sentence(e.t.scheme, in, err)
		return refuse(openReason(err), i18n.Of(err), err)
	case verified.IsUnsigned():
		return unverified(rep), nil
	}
	e.entry.Fingerprints = appendNew(e.entry.Fingerprints, verified.Fingerprints())
	e.signed = verified.Part()
	e.inspection.opens(verified)
	return e.t.release(rep, verified), nil
}

// release makes the application's answer of a verified one. No other function makes a
// result that is marked as verified.
func (t *Transport) release(rep *reply, v *scheme.Verified) result {
	res := result{status: rep.status, body: v.Body(), contentType: jsonType, verified: true, signed: v.Part()}
	if t.As == "wire" || t.As == "" && t.rules.Answer.Format.AsWire {
		res.body, res.contentType = v.Wire(), cmp.Or(rep.contentType, t.rules.Answer.Format.MediaType())
	}
	if res.body == nil {
		res.contentType = ""
	}
	return res
}

// unverified returns an answer that the provider does not sign, as it came.
func unverified(rep *reply) result {
	return result{status: rep.status, body: bytes.TrimPrefix(rep.body, []byte("\ufeff")), contentType: jsonType}
}

// appendNew returns the elements of have and those of more that have lacks. It does not
// change have.
func appendNew(have, more []string) []string {
	out := have[:len(have):len(have)]
	for _, m := range more {
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

func openReason(err error) problem.Reason {
	switch scheme.ReasonOf(err) {
	case scheme.Unsigned:
		return problem.ResponseUnsigned
	case scheme.BadSignature, scheme.Stale, scheme.NeedsKeys:
		return problem.ResponseSignatureInvalid
	case scheme.Decryption:
		return problem.ResponseDecryptionFailed
	case scheme.Mismatch:
		return problem.ResponseMismatch
	default:
		return problem.ResponseInvalid
	}
}

var plainCode = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// describe adds to a problem what may be shown of an answer that is not verified: its
// status, its media type and the provider's result code. Operators see there that the
// provider answers "wrong signature".
func (rep *reply) describe(p *problem.Problem, m *message.Message, rules *scheme.Description) *problem.Problem {
	p.UpstreamStatus, p.UpstreamContentType = rep.status, rep.contentType
	if m.Payload == nil || rules.Result == nil {
		return p
	}
	if code, ok := m.Payload.Get(rules.Result); ok && code.IsScalar() && plainCode.Match(code.Text()) {
		p.UpstreamCode = string(code.Text())
	}
	return p
}

// plainType matches media types without digits: digits could be an order number or a
// token, and no media type of an answer that occurs has one.
var plainType = regexp.MustCompile(`^[a-z]+/[a-z.+-]{1,64}$`)

// mediaType returns the bare media type of a header, or "" if it is not well-formed.
func mediaType(header string) string {
	if header == jsonType {
		return jsonType
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil || !plainType.MatchString(media) {
		return ""
	}
	return media
}

// response returns the answer as the application gets it. It has no header of the
// provider's: a JSON answer needs none of them.
func (res *result) response(r *http.Request) *http.Response {
	header := http.Header{
		"Content-Type":   {res.contentType},
		"Content-Length": {strconv.Itoa(len(res.body))}, // so that no other body passes for the verified one
		headerVerified:   {strconv.FormatBool(res.verified)},
	}
	if res.contentType == "" {
		delete(header, "Content-Type")
	}
	if res.verified {
		header[headerSigned] = []string{res.signed}
	}
	return newResponse(r, res.status, header, res.body)
}

// problemResponse returns a problem in the shape of an answer from upstream.
func problemResponse(r *http.Request, p *problem.Problem) (*http.Response, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, i18n.Errorf("writing the problem: %w", err)
	}
	header := make(http.Header)
	p.SetHeader(header)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	return newResponse(r, p.Reason.Status(), header, text), nil
}

func newResponse(r *http.Request, status int, header http.Header, text []byte) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)), Request: r,
	}
}

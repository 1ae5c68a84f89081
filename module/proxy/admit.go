package proxy

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/problem"
)

// admit checks a request as far as it can be checked without keys, and reads
// its body.
func (t *Transport) admit(r *http.Request) (*body.Object, *problem.Problem) {
	if p := checkHead(r); p != nil {
		return nil, p
	}
	raw, p := ReadBody(r, t.MaxRequestBody)
	if p != nil {
		return nil, p
	}
	object, err := body.Parse(raw)
	if err != nil {
		return nil, problem.New(problem.InvalidRequest, "the request body is refused: "+err.Error(), nil)
	}
	return object, nil
}

// checkHead refuses what a web page could send without asking (cross-origin
// forms and fetches carry Origin or Sec-Fetch-Site), and everything that is not
// plain JSON.
func checkHead(r *http.Request) *problem.Problem {
	if len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 {
		return problem.New(problem.ForbiddenOrigin, "the request has Origin or Sec-Fetch-Site and so comes from a web page; only applications may use the sidecar", nil)
	}
	if r.Method != http.MethodPost {
		return problem.New(problem.MethodNotAllowed, "only POST requests are signed", nil)
	}
	if r.URL.Path != "" && r.URL.Path[0] != '/' || r.URL.Opaque != "" {
		return problem.New(problem.InvalidRequest, "the request target must be a path", nil)
	}
	if len(r.Header["Content-Encoding"]) > 0 {
		return problem.New(problem.UnsupportedMediaType, "the request body must not be encoded; leave out Content-Encoding", nil)
	}
	types := r.Header["Content-Type"]
	if len(types) != 1 || !isJSON(types[0]) {
		return problem.New(problem.UnsupportedMediaType, "the request must have the Content-Type application/json, in UTF-8", nil)
	}
	return nil
}

func isJSON(contentType string) bool {
	if contentType == jsonType {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" && !(strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")) {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// ReadBody reads a whole request body of at most limit bytes. It is refused with
// request_too_large or invalid_request.
func ReadBody(r *http.Request, limit int64) ([]byte, *problem.Problem) {
	tooLarge := func() *problem.Problem {
		return problem.New(problem.RequestTooLarge, "the request body is larger than max_request_body", nil)
	}
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	raw, err := readAll(r.Body, r.ContentLength, limit)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, tooLarge()
	case err != nil:
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, problem.New(problem.RequestTooLarge, "the request body is larger than the server allows", nil)
		}
		return nil, problem.New(problem.InvalidRequest, "the request body could not be read whole", nil)
	}
	return raw, nil
}

var errTooLarge = errors.New("larger than the limit")

// readAll reads at most limit bytes into a buffer that fits: length is what was
// announced, or negative.
func readAll(r io.Reader, length, limit int64) ([]byte, error) {
	if length < 0 || length > limit {
		length = min(limit, 4<<10)
	}
	buf := make([]byte, 0, length+1) // one more, to see the end without growing
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return nil, errTooLarge
		}
		if err == io.EOF { //nolint:errorlint // Read returns io.EOF itself
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// headerName is a name that a header can have (RFC 9110, section 5.1).
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// checkForward refuses headers that must not be forwarded.
func checkForward(name string) error {
	if !headerName.MatchString(name) || strings.Contains(name, "*") {
		return fmt.Errorf("forward_headers cannot name %q: it is no name of a header, and there are no patterns", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Idempotency-Key", "X-Idempotency-Key":
		return errors.New("forward_headers cannot name " + name + ": with it Go's HTTP client sends a POST a second time when a connection breaks")
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "Content-Length", "Content-Encoding", "Host", "Accept-Encoding":
		return errors.New("forward_headers cannot name " + name + ": it belongs to the connection, not to the request")
	}
	return nil
}

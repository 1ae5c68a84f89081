package inbound

import (
	"errors"
	"net/http"
	"os"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/problem"
)

// ReadBody reads a whole request body of at most limit bytes. It is refused with
// request_too_large or invalid_request.
func ReadBody(r *http.Request, limit int64) ([]byte, *problem.Problem) {
	tooLarge := func() *problem.Problem {
		return problem.New(problem.RequestTooLarge, i18n.T("the request body is larger than max_request_body, which is %d bytes", limit), nil)
	}
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	raw, err := network.ReadAll(r.Body, r.ContentLength, limit)
	switch {
	case errors.Is(err, network.ErrTooLarge):
		return nil, tooLarge()
	case err != nil:
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, problem.New(problem.RequestTooLarge, i18n.T("the request body is larger than the server allows"), nil)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, problem.New(problem.InvalidRequest, i18n.T("the request body did not come whole within %v", BodyTime), nil)
		}
		return nil, problem.New(problem.InvalidRequest, i18n.T("the request body broke off"), nil)
	}
	return raw, nil
}

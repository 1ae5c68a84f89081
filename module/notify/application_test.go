package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/problem"
)

// What an application could take for the sidecar's word.
func TestOurHeaders(t *testing.T) {
	for name, ours := range map[string]bool{
		"Countersign-Verified": true, "countersign-verified": true, "COUNTERSIGN-X": true, "Countersign_Verified": true,
		"Countersign_verified": true, "Countersign.Signed": true, "Countersign-": true,
		"Countersigned": false, "X-Countersign-Verified": false, "Countersign": false, "": false,
	} {
		assert.Equal(t, ours, isOurs(name), name)
	}
}

// What the application's failure is called depends on whether it took too long.
func TestApplicationProblems(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, test := range []struct {
		err  error
		want problem.Reason
	}{
		{errNobody, problem.ApplicationFailed},
		{errAborted, problem.ApplicationFailed},
		{errors.New("4111111111111111"), problem.ApplicationFailed},
		{refused, problem.ApplicationFailed},
		{caddyhttp.Error(502, refused), problem.ApplicationFailed},
		{caddyhttp.Error(404, nil), problem.ApplicationFailed},
		{caddyhttp.Error(499, context.Canceled), problem.ApplicationFailed},
		{caddyhttp.Error(504, errors.New("slow")), problem.ApplicationTimeout},
		{caddyhttp.Error(502, context.DeadlineExceeded), problem.ApplicationTimeout},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), problem.ApplicationTimeout},
		{&net.DNSError{IsTimeout: true}, problem.ApplicationTimeout},
	} {
		p := applicationProblem(test.err)
		assert.Equal(t, test.want, p.Reason, "%v", test.err)
		assert.NotContains(t, p.Error(), "4111")
		if cause := p.Cause(); cause != nil {
			assert.NotContains(t, cause.Error(), "4111")
		}
	}
}

package inbound_test

import (
	"io"
	"net/http"
	"os"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/inbound"
	"github.com/countersign/caddy-countersign/module/problem"
)

// A body that came too slowly and one that broke off are told apart.
func TestBodyThatDoesNotComeWhole(t *testing.T) {
	for err, want := range map[error]string{
		os.ErrDeadlineExceeded: "the request body did not come whole within 10s",
		io.ErrUnexpectedEOF:    "the request body broke off",
	} {
		r := &http.Request{Body: io.NopCloser(iotest.ErrReader(err)), ContentLength: 10}
		_, p := inbound.ReadBody(r, 100)
		require.NotNil(t, p)
		assert.Equal(t, problem.InvalidRequest, p.Reason)
		assert.Equal(t, want, p.Text().In("en"))
	}
}

package proxy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// Keys that are away refuse every payment alike: the log says so a few times, and the
// audit log has each.
func TestRefusalsAlikeAreHeldBackInTheLog(t *testing.T) {
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, `{
	countersign {
		keys file `+t.TempDir()+`/missing
	}
}
http://`+address+` {
	bind 127.0.0.1
	countersign easypay 127.0.0.1:1 {
		keys easypay/a
	}
}
`)
	for range 40 {
		answer := testcaddy.Post(t, "http://"+address+"/ledger/mpos", []byte(`{"bizData":{"orderSubDetails":[]}}`))
		assert.Equal(t, 503, answer.Status)
	}
	c.Logs.Audit(t, 40)
	assert.Len(t, c.Logs.Message("exchange failed"), 5)
}

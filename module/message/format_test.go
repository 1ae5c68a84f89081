package message_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/wire"
)

// JSON travels in another charset as forms and XML do. The second byte of a GBK
// character may be a backslash.
func TestJSONInGBK(t *testing.T) {
	f := message.Format{Kind: message.JSON, Options: wire.Options{Charset: "gbk"}}
	const text = `{"name":"誠\n北京","amount":1.10}`
	o, err := body.Parse([]byte(text))
	require.NoError(t, err)
	sent, err := f.Write(body.NewTree(o))
	require.NoError(t, err)
	want, err := simplifiedchinese.GBK.NewEncoder().String(text)
	require.NoError(t, err)
	assert.Equal(t, want, string(sent))
	assert.Equal(t, "application/json; charset=gbk", f.MediaType())

	back, err := f.Parse(sent)
	require.NoError(t, err)
	assert.Equal(t, text, string(back.Raw()))

	_, err = f.Parse([]byte("{\"name\":\"\xff\xff\"}"))
	require.ErrorIs(t, err, wire.ErrCharset)
	o, err = body.Parse([]byte(`{"name":"😀"}`))
	require.NoError(t, err)
	_, err = f.Write(body.NewTree(o))
	require.ErrorIs(t, err, wire.ErrCharset)
}

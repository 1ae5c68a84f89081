package scheme

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

func TestEmptyTwins(t *testing.T) {
	signed := func(path body.Path) bool { return path[0] == "data" }
	for text, refused := range map[string]bool{
		`{"data":{"amount":"1","AMOUNT":""}}`:          true,
		`{"data":{"AMOUNT":"","amount":"1"}}`:          true,
		`{"data":{"amount":"1","Amount":null}}`:        true,
		`{"data":{"\u006bey":"1","\u212aey":""}}`:      true, // the Kelvin sign
		`{"data":{"list":[1,{"a":{},"A":""}]}}`:        true,
		`{"data":{"o":{"a":[""],"b":{"x":1,"X":""}}}}`: true,
		`{"data":{"amount":"1"},"DATA":null}`:          true,
		`{"data":{"amount":"1","AMOUNT":"2"}}`:         false, // both are signed
		`{"data":{"amount":"1","other":""}}`:           false,
		`{"data":{"a":{"x":""},"b":{"X":"1"}}}`:        false,
		`{"data":{},"amount":"1","AMOUNT":""}`:         false, // nobody signs either
	} {
		payload, err := body.Parse([]byte(text))
		require.NoError(t, err)
		err = checkEmptyTwins(&message.Message{Payload: body.NewTree(payload)}, signed)
		assert.Equal(t, refused, err != nil, "%s: %v", text, err)
	}
}

// The check reads a message once, however deep it is.
func TestEmptyTwinsOfADeepMessage(t *testing.T) {
	text := `{"data":` + strings.Repeat(`{"b":["",`, 40) + strings.Repeat(`"",`, 1<<18) + `""` + strings.Repeat("]}", 40) + "}"
	payload, err := body.Parse([]byte(text))
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, checkEmptyTwins(&message.Message{Payload: body.NewTree(payload)}, func(body.Path) bool { return true }))
	assert.Less(t, time.Since(began), 2*time.Second)
}

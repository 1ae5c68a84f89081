package inspector_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// What failed, why, and what the workbench says come in the language of the page,
// with messages and without.
func TestTheLanguageOfThePage(t *testing.T) {
	for _, options := range []string{"", "bodies"} {
		d := start(t, options)
		require.Equal(t, http.StatusBadGateway, d.pay("?fault=wrong_key").Status)
		id := d.records()[0]["id"].(string)
		english := d.get("/records/" + id).JSON(t)
		assert.Contains(t, english["diagnosis"], "no key of this set has made the signature")
		chinese := d.get("/records/"+id, testcaddy.Header("Accept-Language", "zh")).JSON(t)
		assert.Contains(t, chinese["diagnosis"], "这个密钥集")
		for _, member := range []string{"title", "detail", "diagnosis"} {
			assert.Regexp(t, `\p{Han}`, chinese[member], member)
			assert.NotRegexp(t, `\p{Han}`, english[member], member)
		}
		answer := d.ask("/workbench/explain", map[string]any{"route": d.route("exchange", "easypay"), "as": "request", "text": "{"}, testcaddy.Header("Accept-Language", "zh"))
		require.Equal(t, http.StatusUnprocessableEntity, answer.Status)
		assert.Regexp(t, `\p{Han}`, answer.JSON(t)["error"])
		answer = d.ask("/workbench/diff", map[string]any{"route": d.route("exchange", "jeepay"), "as": "request", "text": `{"a":"2"}`, "canonical": "a=1"}, testcaddy.Header("Accept-Language", "zh"))
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
		for _, member := range []string{"cause", "words", "advice"} {
			assert.Regexp(t, `\p{Han}`, answer.JSON(t)[member], member)
		}
	}
}

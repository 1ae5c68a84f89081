package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

// Where a provider's messages are in GBK, an application may write UTF-8, or say that it
// writes GBK as it did to the provider. What it does not say is not guessed.
func TestAnApplicationInGBK(t *testing.T) {
	dir, sidecar, sandbox := t.TempDir(), testcaddy.FreeAddress(t), testcaddy.FreeAddress(t)
	secret := map[keys.Role]string{keys.SharedSecret: "a-secret-of-acme-0123456789"}
	providertest.Sides{Merchant: secret, Provider: secret}.Write(t, dir, dir, "acme/M1")
	var recipes, sidecars, sandboxes strings.Builder
	for name, format := range map[string]string{"form": "form", "xml": "xml root xml", "json": "json"} {
		fmt.Fprintf(&recipes, `recipe %s {
			text members {
				sorted body except sign
				append "&key={secret}"
				charset gbk
			}
			request {
				sign body.sign md5 hex members
				send %s charset gbk
			}
			answer {
				receive %s charset gbk
				verify body.sign md5 hex members
				match body.order
			}
		}
		`, name, format, strings.Fields(format)[0])
		fmt.Fprintf(&sidecars, "handle_path /%s/* {\nrewrite * /%s{uri}\ncountersign %s http://%s {\nkeys acme/M1\n}\n}\n", name, name, name, sandbox)
		fmt.Fprintf(&sandboxes, "handle /%s/* {\ncountersign_sandbox %s {\nkeys acme/M1\n}\n}\n", name, name)
	}
	testcaddy.Run(t, fmt.Sprintf("{\ncountersign {\nkeys file %s\n%s\n}\n}\nhttp://%s {\nbind 127.0.0.1\n%s\n}\nhttp://%s {\nbind 127.0.0.1\n%s\n}\n",
		dir, recipes.String(), sidecar, sidecars.String(), sandbox, sandboxes.String()))

	const form, formType = "order=T1&name=%B7%D6%D5%CB", "application/x-www-form-urlencoded"
	const xml = "<xml><order>T1</order><name>\xb7\xd6\xd5\xcb</name></xml>"
	const json = "{\"order\":\"T1\",\"name\":\"\xb7\xd6\xd5\xcb\"}"
	for name, test := range map[string]struct {
		path, contentType, body string
		want                    string // a reason, or "" for an answer
	}{
		"a form in GBK":             {"form", formType + "; charset=GBK", form, ""},
		"by its older name":         {"form", formType + "; charset=gb2312", form, ""},
		"a form in UTF-8":           {"form", formType, "order=T1&name=%E5%88%86%E8%B4%A6", ""},
		"JSON in place of the form": {"form", "application/json; charset=gbk", json, ""},
		"XML in GBK":                {"xml", "text/xml; charset=gbk", xml, ""},
		"JSON in GBK":               {"json", "application/json; charset=gbk", json, ""},
		"a form that does not say":  {"form", formType, form, "invalid_request"},
		"XML that does not say":     {"xml", "text/xml", xml, "invalid_request"},
		"UTF-8 that is said to be":  {"json", "application/json; charset=gbk", "{\"order\":\"T1\",\"name\":\"\xe5\x88\x86\xe8\xb4\"}", "invalid_request"},
		"another charset":           {"form", formType + "; charset=big5", form, "unsupported_media_type"},
	} {
		answer := testcaddy.Post(t, "http://"+sidecar+"/"+test.path+"/pay", []byte(test.body), func(r *http.Request) { r.Header.Set("Content-Type", test.contentType) })
		if test.want == "" {
			require.Equal(t, 200, answer.Status, "%s: %s", name, answer.Body)
			assert.Equal(t, "分账", answer.JSON(t)["name"], name)
			continue
		}
		assert.Equal(t, test.want, answer.JSON(t)["reason"], "%s: %s", name, answer.Body)
		if strings.Contains(name, "does not say") {
			assert.Contains(t, answer.JSON(t)["detail"], "charset=gbk", name)
		}
	}
}

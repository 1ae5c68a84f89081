package notify_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is not a notification is refused before anything is verified.
func TestMalformed(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		note := s.genuine(t)
		change := func(edit func(*sent)) sent {
			out := note
			out.header = http.Header{}
			edit(&out)
			return out
		}
		for name, test := range map[string]struct {
			note sent
			code string
		}{
			"PUT":                 {change(func(n *sent) { n.method = http.MethodPut }), "method_not_allowed"},
			"DELETE":              {change(func(n *sent) { n.method = http.MethodDelete }), "method_not_allowed"},
			"OPTIONS":             {change(func(n *sent) { n.method = http.MethodOptions }), "method_not_allowed"},
			"gzip":                {change(func(n *sent) { n.header.Set("Content-Encoding", "gzip") }), "notification_invalid"},
			"another charset":     {change(func(n *sent) { n.contentType, _, _ = strings.Cut(n.contentType, ";"); n.contentType += "; charset=gbk" }), "notification_invalid"},
			"a broken media type": {change(func(n *sent) { n.contentType = "/;;" }), "notification_invalid"},
			"multipart":           {change(func(n *sent) { n.contentType = "multipart/form-data; boundary=x" }), "notification_invalid"},
			"two media types":     {change(func(n *sent) { n.header["Content-Type"] = []string{n.contentType, n.contentType}; n.contentType = "" }), "notification_invalid"},
			"not UTF-8":           {change(func(n *sent) { n.body = "\xff" + n.body }), "notification_invalid"},
			"the other kind":      {change(func(n *sent) { n.contentType = otherKind(s) }), "notification_invalid"},
		} {
			t.Run(name, func(t *testing.T) { refused(t, c, app, test.note, test.code) })
		}
		// The methods that are taken are the ones that it names.
		allowed := "POST"
		if s.form {
			allowed = "GET, POST"
		}
		assert.Equal(t, allowed, c.post(t, change(func(n *sent) { n.method = http.MethodPut })).header.Get("Allow"))
		if s.form {
			return
		}
		for name, body := range map[string]string{
			"empty":                   "",
			"null":                    "null",
			"an array":                "[" + note.body + "]",
			"cut":                     note.body[:len(note.body)-3],
			"more behind it":          note.body + "{}",
			"a member twice":          strings.Replace(note.body, "{", `{"sign":"x",`, 1),
			"a member twice, escaped": strings.Replace(note.body, "{", `{"sig\u006e":"x",`, 1),
			"too deep":                strings.Replace(note.body, "{", `{"x":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+",", 1),
			"a lone surrogate":        strings.Replace(note.body, "{", `{"x":"\ud800",`, 1),
		} {
			t.Run(name, func(t *testing.T) {
				refused(t, c, app, change(func(n *sent) { n.body = body }), "notification_invalid")
			})
		}
		refused(t, c, app, change(func(n *sent) { n.method, n.body = http.MethodGet, "" }), "method_not_allowed")
	})
}

// otherKind returns the media type that the provider does not use: an application
// could read what was verified as something else.
func otherKind(s side) string {
	if s.form {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// A JSON notification needs no media type; providers are careless with it.
func TestJSONMediaTypes(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("")+app.proxy())
	for _, media := range []string{"", "application/json", "application/json;charset=UTF-8", "text/json", "text/plain; charset=utf8", "APPLICATION/JSON"} {
		note := s.genuine(t)
		note.contentType = media
		require.Equal(t, http.StatusOK, c.post(t, note).status, media)
		calls := app.calls()
		require.Len(t, calls, 1)
		assert.Equal(t, media, calls[0].header.Get("Content-Type"), "it is kept")
		assert.Equal(t, note.body, calls[0].body)
	}
}

// The parameters of a form: in the body, in the query, or some in each.
func TestForms(t *testing.T) {
	for _, s := range sides {
		if !s.form {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says("success"))
			c := serve(t, s.directive("")+app.proxy())
			note := s.genuine(t)
			first, rest, _ := strings.Cut(note.body, "&")
			for name, n := range map[string]sent{
				"body":            note,
				"GET":             {method: http.MethodGet, target: "/n?" + note.body},
				"POST with query": {target: "/n?" + note.body},
				"empty pieces":    {contentType: note.contentType, body: "&" + first + "&&" + rest + "&"},
				"percent, all":    {contentType: note.contentType, body: strings.ReplaceAll(note.body, "m", "%6D")},
			} {
				g := c.post(t, n)
				require.Equal(t, http.StatusOK, g.status, name+" "+g.body)
				calls := app.calls()
				require.Len(t, calls, 1, name)
				assert.Equal(t, n.body, calls[0].body, name)
				assert.Equal(t, int64(len(n.body)), calls[0].length, name)
				assert.Equal(t, "/"+strings.TrimPrefix(n.target, "/"), calls[0].target, name)
			}
			for name, n := range map[string]sent{
				"a parameter twice":             {contentType: note.contentType, body: note.body + "&" + first},
				"a parameter twice, escaped":    {contentType: note.contentType, body: note.body + "&%" + strings.ToUpper(hexOf(first[0])) + first[1:]},
				"a parameter in query and body": {target: "/?" + first, contentType: note.contentType, body: note.body},
				"in query and body":             {target: "/n?" + first, contentType: note.contentType, body: rest},
				"more in the query":             {target: "/?amount2=1", contentType: note.contentType, body: note.body},
				"the signature twice":           {contentType: note.contentType, body: note.body + "&sign=x"},
				"a semicolon":                   {contentType: note.contentType, body: first + ";" + rest},
				"a broken escape":               {contentType: note.contentType, body: note.body + "&x=%zz"},
				"a cut escape":                  {contentType: note.contentType, body: note.body + "&x=%4"},
				"a value that is not UTF-8":     {contentType: note.contentType, body: note.body + "&x=%ff"},
				"a name that is not UTF-8":      {contentType: note.contentType, body: note.body + "&%c3=1"},
				"a value in GBK":                {contentType: note.contentType, body: note.body + "&x=%B8%B6"},
				"no name":                       {contentType: note.contentType, body: note.body + "&=x"},
			} {
				t.Run(name, func(t *testing.T) { refused(t, c, app, n, "notification_invalid") })
			}
			// A parameter that nobody has signed is an attack as well.
			for name, n := range map[string]sent{
				"in the body": {contentType: note.contentType, body: note.body + "&amount2=1"},
			} {
				t.Run("one more parameter "+name, func(t *testing.T) { refused(t, c, app, n, "notification_signature_invalid") })
			}
			refused(t, c, app, sent{method: http.MethodGet, target: "/"}, "notification_invalid")
			assert.Equal(t, http.StatusMethodNotAllowed, c.post(t, sent{method: http.MethodHead, target: "/?" + note.body}).status)
			assert.Empty(t, app.calls())
		})
	}
}

func hexOf(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

func TestAsJSON(t *testing.T) {
	for _, s := range sides {
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says(s.acknowledgement()))
			c := serve(t, s.directive("as json")+app.proxy())
			note := s.genuine(t)
			require.Equal(t, http.StatusOK, c.post(t, note).status)
			if !s.form {
				assert.Equal(t, note.body, app.calls()[0].body, "it is JSON already")
				return
			}
			calls := app.calls()
			all := append([]member{}, s.members...)
			sig, err := unescaped(signature(t, s, note.body))
			require.NoError(t, err)
			all = append(all, member{"sign", sig})
			assert.Equal(t, jsonOf(all), calls[0].body)
			assert.Equal(t, []string{"application/json"}, calls[0].header["Content-Type"])
			assert.Equal(t, int64(len(calls[0].body)), calls[0].length)

			require.Equal(t, http.StatusOK, c.post(t, sent{method: http.MethodGet, target: "/n?" + note.body}).status)
			calls = app.calls()
			assert.Equal(t, jsonOf(all), calls[0].body)
			assert.Equal(t, http.MethodPost, calls[0].method)
			assert.Equal(t, []string{"application/json"}, calls[0].header["Content-Type"])
		})
	}
}

// Nobody but the sidecar says what was verified.
func TestHeaders(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		note := s.genuine(t)
		note.header = http.Header{
			"Countersign-Verified": {"maybe"}, "Countersign-Signed": {"everything"}, "Countersign-Outcome": {"x"}, "Countersign_Verified": {"x"},
			"COUNTERSIGN-Other": {"x"}, "Connection": {"Countersign-Verified, X-Shop, Upgrade"}, "Upgrade": {"websocket"}, "X-Shop": {"east"},
			"Countersigned": {"stays"},
		}
		require.Equal(t, http.StatusOK, c.post(t, note).status)
		got := app.calls()[0].header
		assert.Equal(t, []string{"true"}, got["Countersign-Verified"])
		assert.Equal(t, []string{s.signed}, got["Countersign-Signed"])
		assert.Equal(t, []string{"stays"}, got["Countersigned"])
		assert.Equal(t, []string{"east"}, got["X-Shop"])
		assert.NotContains(t, got, "Upgrade")
		for name := range got {
			if name != "Countersign-Verified" && name != "Countersign-Signed" {
				assert.NotContains(t, strings.ToLower(strings.ReplaceAll(name, "_", "-")), "countersign-", name)
			}
		}
	})
}

// Caddy's placeholders see what the application sees.
func TestPlaceholders(t *testing.T) {
	for _, s := range sides {
		c := serve(t, s.directive("")+`	respond "{header.Countersign-Verified} {header.Countersign-Signed} {http.request.body}"`+"\n")
		note := s.genuine(t)
		note.header = http.Header{"Countersign-Verified": {"maybe"}}
		assert.Equal(t, "true "+s.signed+" "+note.body, c.post(t, note).body)
	}
}

// Nor do they take away what the application sees.
func TestPlaceholdersLeaveTheBody(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		c.load(t, s.directive("")+"\thandle {\n\t\tvars seen {http.request.body}\n"+app.proxy()+"\t}\n")
		note := s.genuine(t)
		require.Equal(t, http.StatusOK, c.post(t, note).status)
		calls := app.calls()
		require.Len(t, calls, 1)
		assert.Equal(t, note.body, calls[0].body)
	})
}

// A chunked notification is handed over with its length.
func TestChunked(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("max_request_body 2KiB")+app.proxy())
	note := s.genuine(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, struct{ *strings.Reader }{strings.NewReader(note.body)})
	require.NoError(t, err)
	req.ContentLength = -1
	req.Trailer = http.Header{"Countersign-Verified": {"x"}}
	res, err := provider.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	calls := app.calls()
	require.Len(t, calls, 1)
	assert.Equal(t, note.body, calls[0].body)
	assert.Equal(t, int64(len(note.body)), calls[0].length)

	req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 5000))})
	require.NoError(t, err)
	req.ContentLength = -1
	res, err = provider.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	assert.Empty(t, app.calls())
}

// What is wrong with a body, and which media type came, is said by its name.
func TestMalformedIsNamed(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		note := s.genuine(t)
		cases := map[string]sent{
			"it is multipart/form-data; boundary=x": {contentType: "multipart/form-data; boundary=x", body: note.body},
			"is compressed with gzip":               {contentType: note.contentType, body: "\x1f\x8b\x08\x00" + note.body},
		}
		if s.form {
			cases["there is none"] = sent{body: note.body}
			cases["looks like GBK: have the provider"] = sent{contentType: note.contentType, body: "amount=1&subject=%B8%B6&sign=AA"}
		} else {
			cases["looks like GBK: have the provider"] = sent{contentType: note.contentType, body: "{\"x\":\"\xb8\xb6\"}"}
		}
		for want, n := range cases {
			refused(t, c, app, n, "notification_invalid")
			assert.Contains(t, c.post(t, n).body, want)
		}
	})
}

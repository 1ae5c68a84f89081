package inspector_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// Only pages of this origin, and people who type in its address, get an answer.
func TestWhoMayReadAndChange(t *testing.T) {
	d := start(t, "bodies")
	d.pay("")
	h := testcaddy.Header
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	_, port, _ := strings.Cut(d.page, ":")
	for name, c := range map[string]struct {
		change []func(*http.Request)
		want   int
	}{
		"a person":                 {nil, 200},
		"localhost":                {[]func(*http.Request){host("localhost:" + port)}, 200},
		"IPv6":                     {[]func(*http.Request){host("[::1]:" + port)}, 200},
		"its own page":             {[]func(*http.Request){h("Sec-Fetch-Site", "same-origin"), h("Origin", "http://"+d.page)}, 200},
		"rebound name":             {[]func(*http.Request){host("evil.example")}, 403},
		"a name that looks local":  {[]func(*http.Request){host("127.0.0.1.evil.example:" + port)}, 403},
		"localhost of somebody":    {[]func(*http.Request){host("localhost.evil.example")}, 403},
		"no Host that is known":    {[]func(*http.Request){host("192.0.2.1")}, 403},
		"another origin":           {[]func(*http.Request){h("Origin", "http://evil.example")}, 403},
		"another port":             {[]func(*http.Request){h("Origin", "http://127.0.0.1:1")}, 403},
		"a sandboxed frame":        {[]func(*http.Request){h("Origin", "null")}, 403},
		"a script of another site": {[]func(*http.Request){h("Sec-Fetch-Site", "cross-site"), h("Sec-Fetch-Mode", "no-cors")}, 403},
		"another site of the host": {[]func(*http.Request){h("Sec-Fetch-Site", "same-site")}, 403},
		"navigation to data":       {[]func(*http.Request){h("Sec-Fetch-Site", "cross-site"), h("Sec-Fetch-Mode", "navigate"), h("Sec-Fetch-Dest", "document")}, 403},
		"a proxy":                  {[]func(*http.Request){h("X-Forwarded-For", "192.0.2.1")}, 403},
	} {
		for _, path := range []string{"/records", "/records/" + d.records()[0]["id"].(string)} {
			answer := d.get(path, c.change...)
			assert.Equal(t, c.want, answer.Status, "%s: %s", name, path)
			assert.Empty(t, answer.Header.Get("Access-Control-Allow-Origin"))
			if c.want != 200 {
				assert.NotContains(t, string(answer.Body), "ledger")
			}
		}
		if c.want == 200 {
			continue
		}
		assert.Equal(t, 403, d.ask("/clear", nil, c.change...).Status, name)
	}
	link := []func(*http.Request){h("Sec-Fetch-Site", "cross-site"), h("Sec-Fetch-Mode", "navigate"), h("Sec-Fetch-Dest", "document")}
	assert.Equal(t, 200, d.get("/", link...).Status, "a link to the page")
	assert.Equal(t, 403, d.get("/", h("Sec-Fetch-Site", "cross-site"), h("Sec-Fetch-Mode", "navigate"), h("Sec-Fetch-Dest", "iframe")).Status)

	// What changes something is a POST with the token.
	for _, path := range []string{"/clear", "/workbench/send", "/workbench/guess"} {
		assert.Equal(t, http.StatusMethodNotAllowed, d.get(path).Status)
		assert.Equal(t, 403, d.ask(path, nil, h("Countersign-Token", "")).Status)
		assert.Equal(t, 403, d.ask(path, nil, h("Countersign-Token", "guess")).Status)
		assert.Equal(t, http.StatusUnsupportedMediaType, d.ask(path, nil, h("Content-Type", "text/plain")).Status)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, testcaddy.Post(t, "http://"+d.page+"/records", nil).Status)
	assert.Len(t, d.records(), 1, "nothing was changed")
}

func TestTheHeaders(t *testing.T) {
	d := start(t, "")
	for _, path := range []string{"/", "/page/app.js", "/records", "/records/none"} {
		header := d.get(path).Header
		policy := header.Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'")
		assert.Contains(t, policy, "frame-ancestors 'none'")
		assert.NotContains(t, policy, "unsafe")
		assert.NotContains(t, policy, "http")
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		assert.Equal(t, "same-origin", header.Get("Cross-Origin-Resource-Policy"))
		assert.Equal(t, "DENY", header.Get("X-Frame-Options"))
		assert.Equal(t, "no-referrer", header.Get("Referrer-Policy"))
	}
}

// A listener that others reach is refused when the configuration is loaded.
func TestListeners(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	for site, refused := range map[string]bool{
		":7001 {\nbind 127.0.0.1\n": false, ":7001 {\nbind ::1\n": false, ":7001 {\nbind localhost\n": false,
		"http://x {\nbind unix/" + socket + "\n": false, ":7001 {\nbind 127.8.9.1\n": false,
		":7001 {\n": true, ":7001 {\nbind 0.0.0.0\n": true, ":7001 {\nbind 127.0.0.1 192.0.2.1\n": true, "http://127.0.0.1:7001 {\n": true,
		":7001 {\nbind ::\n": true, ":7001 {\nbind example.com\n": true,
	} {
		config := "{\ncountersign {\nkeys file " + testcaddy.DevKeys("merchant") + "\n}\n}\n" + site + "countersign_inspector\n}\n"
		err := testcaddy.Validate(config)
		if !refused {
			assert.NoError(t, err, site)
			continue
		}
		if assert.Error(t, err, site) {
			assert.Contains(t, err.Error(), "bind")
			assert.Contains(t, err.Error(), "Caddyfile:")
		}
		assert.NoError(t, testcaddy.Validate(strings.Replace(config, "countersign_inspector", "countersign_inspector {\nallow_remote\n}", 1)), site)
	}
}

func TestTheCaddyfile(t *testing.T) {
	for options, want := range map[string]string{
		"keep": "exactly one value", "keep 0": "from 1 to 10000", "keep many": "from 1 to 10000", "keep 10001": "from 1 to 10000",
		"bodies yes": "no argument", "colour red": "unknown option", "keep 1\nkeep 2": "twice",
	} {
		_, err := testcaddy.Adapt("http://x {\ncountersign_inspector {\n" + options + "\n}\n}")
		if assert.Error(t, err, options) {
			assert.Contains(t, err.Error(), want)
		}
	}
	_, err := testcaddy.Adapt("http://x {\ncountersign_inspector 1\n}")
	require.Error(t, err)
}

// The page is small, needs no other host, and has every word in both languages.
func TestThePage(t *testing.T) {
	total, scripts := 0, ""
	require.NoError(t, fs.WalkDir(os.DirFS("page"), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join("page", path))
		require.NoError(t, err)
		total += len(text)
		clean := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		assert.NotRegexp(t, `(?i)https?://`, clean, path)
		assert.NotContains(t, clean, "innerHTML", path)
		assert.NotRegexp(t, `\bstyle=|\bon[a-z]+="`, clean, path)
		if filepath.Ext(path) == ".js" {
			scripts += clean
		}
		return nil
	}))
	assert.Less(t, total, 100<<10)
	words, err := os.ReadFile("page/i18n.js")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`\bt\("(\w+)"`).FindAllStringSubmatch(scripts, -1) {
		assert.Regexp(t, `(?m)(?:^|[,{] )\s*`+m[1]+`: \["[^"]+", "[^"]+"\]`, string(words), m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^  (\w+): \[(.*)\],$`).FindAllStringSubmatch(string(words), -1) {
		assert.GreaterOrEqual(t, strings.Count(m[2], `", "`), 1, m[1])
	}
}

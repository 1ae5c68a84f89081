package unanswered_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
	"github.com/countersign/caddy-countersign/module/unanswered"
)

// find adapts and provisions a Caddyfile, and looks at its servers.
func find(t *testing.T, caddyfile string) []unanswered.Request {
	t.Helper()
	return findAs(t, testcaddy.File, caddyfile)
}

// findAs is find for a Caddyfile that imports others, which Caddy looks for beside it.
func findAs(t *testing.T, file, caddyfile string) []unanswered.Request {
	t.Helper()
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": file})
	require.NoError(t, err)
	var config caddy.Config
	require.NoError(t, caddy.StrictUnmarshalJSON(text, &config))
	ctx, err := caddy.ProvisionContext(&config)
	require.NoError(t, err)
	app, err := ctx.App("http")
	require.NoError(t, err)
	return unanswered.Find(app.(*caddyhttp.App))
}

func TestFind(t *testing.T) {
	const (
		sidecar = "handle_path /easypay/* {\ncountersign easypay 127.0.0.1:1 {\nkeys easypay/ORG000000000007\n}\n}\n"
		notify  = "countersign_notify easypay {\nkeys easypay/ORG000000000007\n}\n"
		end     = "handle {\ncountersign_problem unknown_route\n}\n"
	)
	for name, c := range map[string]struct {
		sites string
		want  string // of the request; "" for none
	}{
		"whole":                     {":8080 {\n" + sidecar + end + "}", ""},
		"a port alone, of http":     {"http:// {\n" + sidecar + end + "}", ""},
		"no end":                    {":8080 {\n" + sidecar + "}", "POST made-up.invalid/made-up-by-countersign"},
		"no end in a named route":   {"&(pay) {\n" + sidecar + "}\n:8080 {\ninvoke pay\n}", "POST made-up.invalid/made-up-by-countersign"},
		"an end in a named route":   {"&(end) {\n" + end + "}\n:8080 {\n" + sidecar + "invoke end\n}", ""},
		"a host name":               {"http://localhost:8080 {\n" + sidecar + end + "}", "POST made-up.invalid/made-up-by-countersign"},
		"a host name and all":       {"http://localhost:8080 {\n" + sidecar + end + "}\nhttp://:8080 {\n" + end + "}", ""},
		"no end under a host name":  {"http://pay.example:8080 {\n" + sidecar + "}\nhttp://:8080 {\n" + end + "}", "POST pay.example/made-up-by-countersign"},
		"an end for some":           {":8080 {\n" + sidecar + "handle /pay/* {\ncountersign_problem unknown_route\n}\n}", "POST made-up.invalid/made-up-by-countersign"},
		"an end for POST only":      {":8080 {\n" + sidecar + "@post method POST\nhandle @post {\ncountersign_problem unknown_route\n}\n}", "GET made-up.invalid/made-up-by-countersign"},
		"an inner end":              {":8080 {\nhandle_path /pay/* {\n" + sidecar + "}\n" + end + "}", "POST made-up.invalid/pay/made-up-by-countersign"},
		"the prefix alone":          {":8080 {\nhandle /easypay* {\n@inner path /easypay/*\nhandle @inner {\ncountersign easypay 127.0.0.1:1 {\nkeys easypay/ORG000000000007\n}\n}\n}\n" + end + "}", "POST made-up.invalid/easypay"},
		"an empty respond":          {":8080 {\n" + sidecar + "respond 200\n}", "POST made-up.invalid/made-up-by-countersign"},
		"an empty respond 204":      {":8080 {\n" + sidecar + "respond 204\n}", "POST made-up.invalid/made-up-by-countersign"},
		"an empty respond 202":      {":8080 {\n" + sidecar + "respond \"\" 202\n}", "POST made-up.invalid/made-up-by-countersign"},
		"an error made a success":   {":8080 {\n" + sidecar + "error 404\nhandle_errors {\nrespond 200\n}\n}", "POST made-up.invalid/made-up-by-countersign"},
		"a problem made a success":  {":8080 {\n" + sidecar + end + "handle_errors 4xx {\nrespond 204\n}\n}", "POST made-up.invalid/made-up-by-countersign"},
		"errors of a host alone":    {"http://a.example:8080 {\n" + sidecar + end + "handle_errors {\nrespond 200\n}\n}\nhttp://:8080 {\n" + end + "}", "POST a.example/made-up-by-countersign"},
		"other errors":              {":8080 {\n" + sidecar + end + "handle_errors 410 {\nrespond 200\n}\n}", ""},
		"a refusal made a success":  {":8080 {\n" + sidecar + end + "handle_errors 5xx {\nrespond 200\n}\n}", "POST made-up.invalid/easypay/made-up-by-countersign"},
		"all refusals":              {":8080 {\ncountersign easypay 127.0.0.1:1 {\nkeys easypay/ORG000000000007\n}\nhandle_errors {\nrespond 204\n}\n}", "POST made-up.invalid/made-up-by-countersign"},
		"a forged notification":     {":8080 {\nhandle /n {\n" + notify + "reverse_proxy 127.0.0.1:2\n}\n" + end + "handle_errors 401 {\nrespond 200\n}\n}", "POST made-up.invalid/n"},
		"refusals with a body":      {":8080 {\n" + sidecar + end + "handle_errors {\nrespond \"{http.countersign.problem}\" 200\n}\n}", ""},
		"an error with its status":  {":8080 {\n" + sidecar + "error 404\nhandle_errors {\nrespond \"\"\n}\n}", ""},
		"an error with its problem": {":8080 {\n" + sidecar + end + "handle_errors {\ncountersign_problem\n}\n}", ""},
		"an error without an end":   {":8080 {\n" + sidecar + "error 404\nhandle_errors {\nheader X-A b\n}\n}", ""},
		"a respond with a body":     {":8080 {\n" + sidecar + "respond \"who are you\"\n}", ""},
		"a respond 404":             {":8080 {\n" + sidecar + "respond 404\n}", ""},
		"an error":                  {":8080 {\n" + sidecar + "error 404\n}", ""},
		"abort":                     {":8080 {\n" + sidecar + "abort\n}", ""},
		"a redirect":                {":8080 {\n" + sidecar + "redir https://example.com\n}", ""},
		"the application":           {":8080 {\n" + sidecar + "reverse_proxy 127.0.0.1:2\n}", ""},
		"files":                     {":8080 {\n" + sidecar + "file_server\n}", ""},
		"headers and no end":        {":8080 {\nheader X-A b\nencode gzip\n" + sidecar + "}", "POST made-up.invalid/made-up-by-countersign"},
		"a password and no end":     {":8080 {\nbasic_auth {\na $2a$14$QygF7JNi3NOQqKqNZZTwM.g5va9Nr7rfMjW/as9ee5EKsCiC8VXT.\n}\n" + sidecar + "}", "POST made-up.invalid/made-up-by-countersign"},
		"forward_auth and no end":   {":8080 {\nforward_auth 127.0.0.1:2 {\nuri /check\n}\n" + sidecar + "}", "POST made-up.invalid/made-up-by-countersign"},
		"the sidecar takes all":     {":8080 {\ncountersign easypay 127.0.0.1:1 {\nkeys easypay/ORG000000000007\n}\n}", ""},
		"no sidecar":                {":8080 {\nrespond /healthz ok\n}", ""},
		"a problem of errors alone": {":8080 {\n" + sidecar + "countersign_problem\n}", "POST made-up.invalid/made-up-by-countersign"},
		"readiness beside it":       {":8080 {\n" + sidecar + "@ready countersign_ready\nhandle @ready {\nrespond 404\n}\n}", "POST made-up.invalid/made-up-by-countersign"},

		"a notification without an application": {":8080 {\nhandle /n {\n" + notify + "}\n" + end + "}", ""}, // it is answered 502
		"a dead end for one address":            {":8080 {\n@n {\npath /n/*\nremote_ip 192.0.2.1\n}\nhandle @n {\nhandle /n/easypay {\n" + notify + "}\n}\n" + end + "}", "POST made-up.invalid/n/made-up-by-countersign"},
		"a notification that is acknowledged":   {":8080 {\nhandle /n {\n" + notify + "respond 200\n}\n" + end + "}", ""},
		"notifications and no end":              {":8080 {\nhandle /n {\n" + notify + "reverse_proxy 127.0.0.1:2\n}\n}", "POST made-up.invalid/made-up-by-countersign"},
	} {
		t.Run(name, func(t *testing.T) {
			found := find(t, "{\nadmin off\ncountersign {\nkeys file "+testcaddy.DevKeys("merchant")+"\n}\n}\n"+c.sites)
			if c.want == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Equal(t, c.want, found[0].String())
		})
	}
}

// assemble puts the files of a configuration that ships in parts into one folder, as
// they are mounted or installed.
func assemble(t *testing.T, files map[string]string) (file, content string) {
	t.Helper()
	folder := t.TempDir()
	for to, from := range files {
		text, err := os.ReadFile(filepath.Join(testcaddy.Root(), from))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, to)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, to), text, 0o600))
	}
	file = filepath.Join(folder, "Caddyfile")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return file, string(text)
}

// What ships in parts answers what it does not know as well, with a provider and
// without one.
func TestWhatShipsInParts(t *testing.T) {
	const kubernetes, installed = "integration/kubernetes/", "integration/package/files/"
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	for name, files := range map[string]map[string]string{
		"Kubernetes": {
			"Caddyfile": kubernetes + "component/Caddyfile", "keys.caddyfile": kubernetes + "component-secret/keys.caddyfile",
			"provider-easypay.caddyfile": kubernetes + "example-secret/provider-easypay.caddyfile",
		},
		"the package": {
			"Caddyfile": installed + "Caddyfile", "providers/easypay.caddyfile": kubernetes + "example-secret/provider-easypay.caddyfile",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file, text := assemble(t, files)
			if name == "the package" {
				text = strings.Replace(text, "http:// {", "(limits) {\n}\nhttp:// {", 1)
			}
			assert.Empty(t, findAs(t, file, text))
			assert.Contains(t, text, "countersign_problem unknown_route")
			assert.NotEmpty(t, findAs(t, file, strings.ReplaceAll(text, "countersign_problem unknown_route", "header X-A b")), "the test sees one that does not")
		})
	}
}

var fenced = regexp.MustCompile("(?s)```caddyfile\n(.*?)```")

// Every Caddyfile that ships, on its own and in a text, answers what it does not
// know: it has a site without a host name, and ends in unknown_route.
func TestEveryCaddyfileThatShips(t *testing.T) {
	testcaddy.Examples(t)
	root := testcaddy.Root()
	t.Chdir(root) // where their paths begin
	examined := 0
	examine := func(name, text string) {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(text, "countersign_notify") && !regexp.MustCompile(`(?m)^\s*countersign \S+ \S+`).MatchString(text) {
				t.Skip("it has no sidecar and takes no notifications")
			}
			config, err := testcaddy.Adapt(text)
			if err != nil {
				t.Skip("it is a part of one") // whole ones are held to load elsewhere
			}
			var parsed caddy.Config
			require.NoError(t, caddy.StrictUnmarshalJSON(config, &parsed))
			if parsed.AppsRaw["countersign"] == nil {
				t.Skip("it is a part of one")
			}
			examined++
			assert.Empty(t, find(t, strings.ReplaceAll(text, "C:/ProgramData", filepath.ToSlash(t.TempDir())))) // a relative path on other systems than Windows
			assert.Contains(t, text, "countersign_problem unknown_route")
		})
	}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		switch {
		case strings.HasSuffix(name, "Caddyfile") || strings.HasSuffix(name, ".caddyfile"):
			examine(name, string(text))
		case strings.HasSuffix(name, ".md"):
			for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
				examine(name, block[1])
			}
		}
		return nil
	}))
	assert.Greater(t, examined, 12)
}

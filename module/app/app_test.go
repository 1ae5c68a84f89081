package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"

	_ "github.com/countersign/caddy-countersign/module/keysource/file"
	_ "github.com/countersign/caddy-countersign/module/proxy"
)

// admin asks the admin endpoint, which the tests' Caddy does not serve.
func admin(t *testing.T, method, path string) (int, string) {
	t.Helper()
	for _, route := range new(app.Admin).Routes() {
		if route.Pattern != path {
			continue
		}
		w := httptest.NewRecorder()
		if err := route.Handler.ServeHTTP(w, httptest.NewRequest(method, path, nil)); err != nil {
			apiError, ok := err.(caddy.APIError) //nolint:errorlint // the admin endpoint asserts it as well
			require.True(t, ok, "%v", err)
			return apiError.HTTPStatus, apiError.Err.Error()
		}
		return w.Code, w.Body.String()
	}
	t.Fatalf("no route %s", path)
	return 0, ""
}

// keysCaddyfile returns a configuration that names the references, and shows whether
// it is ready.
func keysCaddyfile(address, dir string, references ...string) string {
	sites := ""
	for i, reference := range references {
		sites += fmt.Sprintf("\thandle_path /%d/* {\n\t\tcountersign easypay 127.0.0.1:1 {\n\t\t\tkeys %s\n\t\t}\n\t}\n", i, reference)
	}
	return `{
	countersign {
		keys file ` + dir + ` {
			refresh 50ms
			settle 1ms
		}
	}
}
http://` + address + ` {
	bind 127.0.0.1
` + sites + `
	@ready countersign_ready
	handle @ready {
		respond "ready"
	}
	handle {
		respond 503
	}
}
`
}

func copySet(t *testing.T, to string) {
	t.Helper()
	require.NoError(t, os.CopyFS(to, os.DirFS(filepath.Join(testcaddy.DevKeys("merchant"), "easypay", "ORG000000000007"))))
}

// ready reports whether the probe says so. A reload resets connections that the
// old listener's queue still held: these ask again.
func ready(t *testing.T, address string) bool {
	t.Helper()
	var answer *testcaddy.Answer
	require.Eventually(t, func() bool {
		var err error
		answer, err = testcaddy.TryPost(t.Context(), "http://"+address+"/readyz", nil)
		return err == nil
	}, 5*time.Second, time.Millisecond)
	return answer.Status == 200
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 10*time.Millisecond)
}

func TestReady(t *testing.T) {
	dir := t.TempDir()
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, keysCaddyfile(address, dir, "a", "b"))
	assert.False(t, ready(t, address), "no key set is there")
	copySet(t, filepath.Join(dir, "a"))
	time.Sleep(150 * time.Millisecond)
	assert.False(t, ready(t, address), "one of two is")
	copySet(t, filepath.Join(dir, "b"))
	eventually(t, func() bool { return ready(t, address) })

	// A broken file keeps the old set, which serves.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "sign.pem"), []byte("broken"), 0o600))
	c.Logs.Wait(t, 1, func(e testcaddy.Entry) bool {
		return e.String("msg") == "loading keys failed; the last good ones stay in use"
	})
	assert.True(t, ready(t, address))

	// A set that is taken away is none.
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "a")))
	eventually(t, func() bool { return !ready(t, address) })
	require.NoError(t, c.Reload(keysCaddyfile(address, dir, "b")))
	assert.True(t, ready(t, address), "nobody names it any more")
}

// A set with a key of another kind than the recipe needs is refused as soon as it
// is loaded.
func TestASetWithAKeyOfAnotherKind(t *testing.T) {
	dir := t.TempDir()
	copySet(t, filepath.Join(dir, "a"))
	verify := filepath.Join(dir, "a", "verify.pem")
	good, err := os.ReadFile(verify)
	require.NoError(t, err)
	const sm2 = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
	require.NoError(t, os.WriteFile(verify, []byte(sm2), 0o600))
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, keysCaddyfile(address, dir, "a"))
	c.Logs.Wait(t, 1, func(e testcaddy.Entry) bool {
		return e.String("msg") == "a key set is refused: no message can be signed or verified with it" && e.String("reference") == "a" &&
			e.String("error") == "the role verify holds a key of the kind SM2, and easypay needs one of the kind RSA"
	})
	assert.False(t, ready(t, address))
	require.NoError(t, os.WriteFile(verify, good, 0o600))
	eventually(t, func() bool { return ready(t, address) })
}

// A reference that is looked for twenty times a second, and is not there, fills
// no log.
func TestAMissingFolderIsLoggedOnce(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "another"), 0o700)) // a source without any set is broken
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, keysCaddyfile(address, dir, "a"))
	const missing, broken = "no such key set", "loading keys failed; the last good ones stay in use"
	eventually(t, func() bool { return len(c.Logs.Message(missing)) > 0 })
	time.Sleep(500 * time.Millisecond)
	assert.Len(t, c.Logs.Message(missing), 1)

	// What changes is logged.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "encrypt@x.pem"), []byte("broken"), 0o600))
	eventually(t, func() bool { return len(c.Logs.Message(broken)) > 0 })
	time.Sleep(500 * time.Millisecond)
	assert.Len(t, c.Logs.Message(broken), 1)
	copySet(t, filepath.Join(dir, "a"))
	eventually(t, func() bool { return ready(t, address) })
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "a")))
	eventually(t, func() bool { return len(c.Logs.Message(missing)) == 2 })
	assert.Equal(t, "a", c.Logs.Message(missing)[1].String("reference"))
}

// A reference that depends on the request is ready while its source answers.
func TestReadyByRequest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "late")
	address := testcaddy.FreeAddress(t)
	testcaddy.Run(t, keysCaddyfile(address, dir, "easypay/{body.orgId}"))
	assert.False(t, ready(t, address), "there is no folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	eventually(t, func() bool { return ready(t, address) })
}

func TestReadyWithoutKeys(t *testing.T) {
	address := testcaddy.FreeAddress(t)
	testcaddy.Run(t, keysCaddyfile(address, t.TempDir()))
	assert.True(t, ready(t, address), "nothing is needed")
}

type view struct {
	Source       string              `json:"source"`
	Reference    string              `json:"reference"`
	Configured   bool                `json:"configured"`
	Usable       bool                `json:"usable"`
	Roles        []string            `json:"roles"`
	Fingerprints map[string][]string `json:"fingerprints"`
	Version      string              `json:"version"`
	Loaded       *time.Time          `json:"loaded"`
	AgeSeconds   float64             `json:"age_seconds"`
	Error        string              `json:"error"`
}

func views(t *testing.T) map[string]view {
	t.Helper()
	status, text := admin(t, http.MethodGet, "/countersign/keys")
	require.Equal(t, 200, status, text)
	var all []view
	require.NoError(t, json.Unmarshal([]byte(text), &all))
	out := make(map[string]view)
	for _, v := range all {
		out[v.Reference] = v
	}
	return out
}

func TestAdmin(t *testing.T) {
	status, text := admin(t, http.MethodGet, "/countersign/keys")
	assert.Equal(t, 404, status, text)

	dir := t.TempDir()
	copySet(t, filepath.Join(dir, "a"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "secret"), []byte("planted-secret"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "b"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b", "verify.pem"), []byte("planted"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "verify_secret"), nil, 0o600))
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, keysCaddyfile(address, dir, "a", "b", "c", "{body.x}"))
	eventually(t, func() bool {
		return len(views(t)) == 3 && views(t)["b"].Error != "" && views(t)["c"].Error != "" && views(t)["a"].Usable
	})

	shown := views(t)
	a := shown["a"]
	assert.Equal(t, "default", a.Source)
	assert.True(t, a.Configured)
	assert.Equal(t, []string{"sign", "verify", "encrypt", "decrypt", "secret"}, a.Roles)
	assert.Len(t, a.Fingerprints["sign"][0], 64)
	assert.Len(t, a.Fingerprints["secret"][0], 8)
	assert.NotEmpty(t, a.Version)
	assert.NotNil(t, a.Loaded)
	assert.Less(t, a.AgeSeconds, 5.0)
	assert.Contains(t, a.Error, "verify_secret: it is empty", "it serves without that role")
	assert.True(t, a.Usable)
	assert.False(t, shown["b"].Usable)
	assert.Contains(t, shown["b"].Error, "neither PEM nor Base64")
	assert.Empty(t, shown["b"].Roles)
	assert.Contains(t, shown["c"].Error, "no such key set")

	status, text = admin(t, http.MethodPost, "/countersign/keys/refresh")
	assert.Equal(t, 502, status)
	assert.Contains(t, text, `refreshing "b" from source "default"`)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "b")))
	copySet(t, filepath.Join(dir, "b"))
	copySet(t, filepath.Join(dir, "c"))
	status, text = admin(t, http.MethodPost, "/countersign/keys/refresh")
	assert.Equal(t, 200, status, text)
	assert.True(t, views(t)["b"].Usable)
	assert.True(t, views(t)["c"].Usable)

	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		status, _ = admin(t, method, "/countersign/keys")
		assert.Equal(t, 405, status, method)
	}
	status, _ = admin(t, http.MethodGet, "/countersign/keys/refresh")
	assert.Equal(t, 405, status)

	_, text = admin(t, http.MethodGet, "/countersign/keys")
	assert.NotContains(t, text, "planted")
	assert.NotContains(t, text, "PRIVATE")
	assert.NotContains(t, c.Logs.Text(), "planted")

	// After a reload the router sees the configuration that runs.
	require.NoError(t, c.Reload(keysCaddyfile(address, dir, "a")))
	assert.True(t, views(t)["a"].Configured)
	assert.False(t, views(t)["b"].Configured)
	require.Error(t, c.Reload(keysCaddyfile(address, dir, "../a")))
	assert.True(t, views(t)["a"].Configured)
	require.NoError(t, c.Reload("http://"+address+" {\nbind 127.0.0.1\n}"))
	status, _ = admin(t, http.MethodGet, "/countersign/keys")
	assert.Equal(t, 404, status)
}

// One client's broken key set does not fail the refresh of all others.
func TestRefreshMindsNoKeySetThatNeverLoaded(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"shops/good", "shops/broken"} {
		copySet(t, filepath.Join(dir, name))
	}
	broken := filepath.Join(dir, "shops", "broken", "sign.pem")
	whole, err := os.ReadFile(broken)
	require.NoError(t, err)
	for _, other := range []string{"verify", "encrypt", "decrypt"} {
		require.NoError(t, os.Remove(filepath.Join(dir, "shops", "broken", other+".pem")))
	}
	require.NoError(t, os.WriteFile(broken, []byte("broken"), 0o600))
	address := testcaddy.FreeAddress(t)
	testcaddy.Run(t, keysCaddyfile(address, dir, "shops/{body.shop}"))
	ask := func(shop string) {
		testcaddy.Post(t, "http://"+address+"/0/pay", []byte(`{"shop":"`+shop+`","bizData":{"a":"1"}}`))
	}
	ask("good")
	ask("broken")
	require.Empty(t, views(t)["shops/good"].Error)
	require.NotEmpty(t, views(t)["shops/broken"].Error)
	status, text := admin(t, http.MethodPost, "/countersign/keys/refresh")
	assert.Equal(t, 200, status, text)
	assert.Contains(t, text, "shops/broken", "what is wrong is shown")

	// One that has served and is broken now is a failure.
	require.NoError(t, os.WriteFile(broken, whole, 0o600))
	eventually(t, func() bool { return views(t)["shops/broken"].Usable })
	require.NoError(t, os.WriteFile(broken, []byte("broken"), 0o600))
	// A file that was written less than settle ago keeps the old set in use.
	eventually(t, func() bool {
		status, text = admin(t, http.MethodPost, "/countersign/keys/refresh")
		return status == 502
	})
	assert.Contains(t, text, `refreshing "shops/broken" from source "default"`)
}

// A source that two configurations have is one ring; a source that none has any
// more is closed.
func TestSourcesOverReloads(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	copySet(t, filepath.Join(dir, "a"))
	copySet(t, filepath.Join(other, "a"))
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, keysCaddyfile(address, dir, "a"))
	loads := func() int { return len(c.Logs.Message("keys loaded")) }
	eventually(t, func() bool { return loads() == 1 })
	for range 5 {
		require.NoError(t, c.Reload(keysCaddyfile(address, dir, "a")))
		assert.True(t, ready(t, address), "a ring that both have is never empty")
	}
	assert.Equal(t, 1, loads())

	require.NoError(t, c.Reload(keysCaddyfile(address, other, "a")))
	eventually(t, func() bool { return loads() == 2 })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "sign.pem"), []byte("broken"), 0o600))
	time.Sleep(200 * time.Millisecond)
	assert.Empty(t, c.Logs.Message("loading keys failed; the last good ones stay in use"), "nobody looks there any more")

	before := runtime.NumGoroutine()
	for range 10 {
		require.Error(t, c.Reload(keysCaddyfile(address, t.TempDir(), "a")+"http://192.0.2.1:80 {\nbind 192.0.2.1\n}"))
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 })
	assert.True(t, ready(t, address), "a reload that failed takes nothing away")
}

// A configuration in JSON is checked as well.
func TestJSON(t *testing.T) {
	for config, want := range map[string]string{
		`{"apps":{"countersign":{"keys":[{"source":"file"}]}}}`:                                                                                                 "keys file needs a folder",
		`{"apps":{"countersign":{"keys":[{"source":"nothing"}]}}}`:                                                                                              "unknown module: countersign.keys.nothing",
		`{"apps":{"countersign":{"keys":[{"source":"file","dir":"a"},{"source":"file","dir":"b"}]}}}`:                                                           "two key sources have no name",
		`{"apps":{"countersign":{"keys":[{"source":"file","dir":"a","name":"x"},{"source":"file","dir":"b","name":"x"}]}}}`:                                     `two key sources are called "x"`,
		`{"apps":{"countersign":{"keys":[{"source":"file","dir":"a","secret":"x"}]}}}`:                                                                          "unknown field",
		`{"apps":{"countersign":{"keys":[{"source":"file","dir":"{env.COUNTERSIGN_TEST_NOT_SET}"}]}}}`:                                                          "the folder of the key files",
		`{"apps":{"http":{"servers":{"a":{"listen":[":1"],"routes":[{"handle":[{"handler":"countersign"}]}]}}}}}`:                                               "needs a reverse_proxy",
		`{"apps":{"http":{"servers":{"a":{"listen":[":1"],"routes":[{"handle":[{"handler":"countersign","reverse_proxy":{"handler":"static_response"}}]}]}}}}}`: "needs a reverse_proxy",
		`{"apps":{"http":{"servers":{"a":{"listen":[":1"],"routes":[{"handle":[{"handler":"countersign","reverse_proxy":{"handler":"reverse_proxy"}}]}]}}}}}`:   "needs a reverse_proxy with the transport countersign",
		`{"apps":{"http":{"servers":{"a":{"listen":[":1"],"routes":[{"handle":[{"handler":"reverse_proxy","transport":{"protocol":"countersign"}}]}]}}}}}`:      "the transport countersign is the handler's own",
	} {
		var parsed *caddy.Config
		err := caddy.StrictUnmarshalJSON([]byte(config), &parsed)
		if err == nil {
			err = caddy.Validate(parsed)
		}
		assert.ErrorContains(t, err, want, config)
	}
}

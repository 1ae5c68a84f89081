package notify_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A forged notification reaches none of the directives that answer, whatever
// order they stand in, and a genuine one does.
func TestAForgedNotificationDoesNotSlipPast(t *testing.T) {
	files := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(files, "notify"), []byte("the application"), 0o600))
	for name, behind := range map[string]string{
		"handle":                   "handle {\n respond \"the application\"\n}",
		"handle with a path":       "handle /notify {\n respond \"the application\"\n}",
		"handle_path":              "handle_path /notify* {\n respond \"the application\"\n}",
		"respond":                  "respond \"the application\"",
		"respond with a matcher":   "@post method POST\nrespond @post \"the application\"",
		"route":                    "route {\n respond \"the application\"\n}",
		"error":                    "error \"the application\" 418\nhandle_errors 418 {\n respond \"the application\"\n}",
		"templates":                "templates\nrespond \"the application\"",
		"invoke":                   "invoke app",
		"php_fastcgi, file_server": "handle {\n root * " + files + "\n method GET\n file_server\n}",
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range sides {
				// It stands last: the order of the directives decides.
				c := serve(t, behind+"\n"+s.directive(""))
				note, other := s.genuine(t), s.another(t, "another")
				forged := moved(t, s, note, other)
				forged.target, note.target = "/notify", "/notify"
				g := c.post(t, forged)
				assert.Equal(t, http.StatusUnauthorized, g.status, s.name)
				assert.Equal(t, "notification_signature_invalid", g.code(t), s.name)
				assert.NotContains(t, g.body, "the application", s.name)
				if name == "error" {
					continue
				}
				g = c.post(t, note)
				assert.Equal(t, http.StatusOK, g.status, s.name)
				assert.Equal(t, "the application", g.body, s.name)
			}
		})
	}
	t.Run("reverse_proxy", func(t *testing.T) {
		for _, s := range sides {
			app := newApplication(t, says(s.acknowledgement()))
			c := serve(t, app.proxy()+s.directive(""))
			refused(t, c, app, moved(t, s, s.genuine(t), s.another(t, "another")), "notification_signature_invalid")
			require.Equal(t, http.StatusOK, c.post(t, s.genuine(t)).status)
			assert.Len(t, app.calls(), 1)
		}
	})
}

// With a matcher it is only for what matches.
func TestMatcher(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	c := serve(t, "@notify path /notify/*\ncountersign_notify @notify easypay {\n keys "+s.keys+"\n}\n"+app.proxy())
	assert.Equal(t, "notification_invalid", c.post(t, sent{target: "/notify/x", body: "{"}).code(t))
	assert.Empty(t, app.calls())
	require.Equal(t, http.StatusOK, c.post(t, sent{target: "/other", body: "{"}).status)
	assert.Len(t, app.calls(), 1)
	note := s.genuine(t)
	note.target = "/notify/x"
	require.Equal(t, http.StatusOK, c.post(t, note).status)
}

// Where nobody answers, nobody has acknowledged.
func TestNobodyBehind(t *testing.T) {
	for name, options := range map[string]string{"as it comes": "", "once": once("")} {
		t.Run(name, func(t *testing.T) {
			s := sides[0]
			c := serve(t, s.directive(options)+"\thandle /elsewhere {\n respond ok\n}\n")
			g := c.post(t, s.genuine(t))
			assert.Equal(t, http.StatusBadGateway, g.status)
			assert.Equal(t, "application_failed", g.code(t))
			assert.Contains(t, g.body, "no handler behind countersign_notify has answered")
		})
	}
}

// The allow-list of a provider's addresses stands in front, as a matcher: who
// is not on it learns nothing.
func TestBehindAnAllowList(t *testing.T) {
	s := sides[0]
	for addresses, want := range map[string]int{"127.0.0.1": http.StatusOK, "192.0.2.0/24": http.StatusForbidden} {
		app := newApplication(t, says("ok"))
		c := serve(t, "@easypay {\n path /notify/easypay\n remote_ip "+addresses+"\n}\nhandle @easypay {\n"+
			s.directive("")+app.proxy()+"}\nhandle /notify/* {\n respond 403\n}\n")
		note := s.genuine(t)
		note.target = "/notify/easypay"
		assert.Equal(t, want, c.post(t, note).status)
		assert.Len(t, app.calls(), map[int]int{http.StatusOK: 1, http.StatusForbidden: 0}[want])
	}
}

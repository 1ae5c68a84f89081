package notify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// refusals waits for n lines of the log about notifications that failed.
func (c *running) refusals(t *testing.T, n int) []map[string]any {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(c.logged(t), `"msg":"notification failed"`) >= n }, 10*time.Second, 5*time.Millisecond)
	var out []map[string]any
	for line := range bytes.Lines([]byte(c.logged(t))) {
		var e map[string]any
		require.NoError(t, json.Unmarshal(line, &e))
		if e["msg"] == "notification failed" {
			out = append(out, e)
		}
	}
	return out
}

// The log entry of a notification whose signature does not verify says why, and
// holds nothing of the notification, of its signature or of the keys.
func TestDiagnosisInTheLog(t *testing.T) {
	const card, planted = "6222021234567890", "planted6217000012345678"
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		members := append(s.members[:len(s.members):len(s.members)], member{"z_card", card})
		if s.name == "hbsk" {
			members = with(s.members, "data", `{"sequence":"FZ20230104","card":"`+card+`"}`)
		}
		note := s.sign(t, members)
		sig := signature(t, s, note.body)
		text, err := url.QueryUnescape(sig)
		require.NoError(t, err)
		if !s.form {
			text = sig
		}
		replaced := func(by string) sent {
			if s.form {
				by = url.QueryEscape(by)
			}
			out := note
			out.body = strings.Replace(note.body, sig, by, 1)
			require.NotEqual(t, note.body, out.body)
			return out
		}
		said := func(n sent, want string) {
			t.Helper()
			before := len(c.refusals(t, 0))
			refused(t, c, app, n, "notification_signature_invalid")
			lines := c.refusals(t, before+1)
			require.Len(t, lines, before+1)
			got, _ := lines[before]["diagnosis"].(string)
			if want == "" {
				assert.NotContains(t, lines[before], "diagnosis")
				return
			}
			assert.Contains(t, got, want)
		}
		changed := note
		changed.body = strings.Replace(note.body, card, "6222021234567899", 1)
		require.NotEqual(t, note.body, changed.body)

		if s.name == "easypay" || s.name == "hongwen" {
			said(replaced(strings.TrimRight(text, "=")+planted+"<>"), "the signature is not base64, which the recipe expects")
			said(replaced(strings.TrimRight(text, "=")), "the signature has lost its padding (=); apart from that it is right")
			said(replaced(url.PathEscape(text)+"%3D"), "the signature is escaped twice")
			said(changed, "the key is right, but the provider has signed another text than ours")
			own := signRSA(t, "../../keys-dev/merchant/"+s.keys+"/sign.pem", planted)
			said(replaced(own), "the key that stands in the role your own sign")
		} else {
			said(replaced(planted), "the signature is not hex")
			said(replaced(text[2:]), "bytes, and ")
			said(changed, "the signature has the right form, and was made with another secret or over another text than ours")
		}
		said(replaced(""), "")

		log := c.logged(t)
		for _, value := range []string{card, "6222021234567899", "planted", text[:16], sig[:16]} {
			assert.NotContains(t, log, value)
		}
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			assert.NotContains(t, log, hex.EncodeToString(raw)[:16])
		}
		for _, of := range []string{"merchant", "provider"} {
			files, err := filepath.Glob("../../keys-dev/" + of + "/" + s.keys + "/*")
			require.NoError(t, err)
			require.NotEmpty(t, files)
			for _, name := range files {
				held, err := os.ReadFile(name)
				require.NoError(t, err)
				for line := range strings.Lines(string(held)) {
					if line = strings.TrimSpace(line); len(line) >= 8 && !strings.HasPrefix(line, "-----") {
						assert.NotContains(t, log, line[:min(len(line), 16)], name)
					}
				}
			}
		}
	})
}

// A flood of forged notifications makes a bounded number of sentences, and each of
// them is still refused and logged.
func TestDiagnosisOfAFlood(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says(s.acknowledgement()))
	c := serve(t, s.directive("")+app.proxy())
	note := s.genuine(t)
	note.body = strings.Replace(note.body, "1.10", "9.99", 1)
	const forged = 300
	for range forged {
		require.Equal(t, http.StatusUnauthorized, c.post(t, note).status)
	}
	lines := c.refusals(t, forged)
	require.Len(t, lines, forged)
	with := 0
	for _, line := range lines {
		if _, ok := line["diagnosis"]; ok {
			with++
		}
	}
	assert.GreaterOrEqual(t, with, 10)
	assert.Less(t, with, forged)
}

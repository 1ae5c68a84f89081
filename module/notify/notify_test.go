package notify_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// each runs a test for every provider, with an application that acknowledges.
func each(t *testing.T, options string, test func(t *testing.T, s side, c *running, app *application)) {
	t.Helper()
	for _, s := range sides {
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says(s.acknowledgement()))
			test(t, s, serve(t, s.directive(options)+app.proxy()), app)
		})
	}
}

// A genuine notification reaches the application byte for byte, and its answer
// is what the provider gets.
func TestGenuine(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		app.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.example")
			w.Header().Set("X-Application", "yes")
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(s.acknowledgement()))
		})
		note := s.genuine(t)
		note.target = "/notify/" + s.name
		g := c.post(t, note)
		assert.Equal(t, http.StatusAccepted, g.status)
		assert.Equal(t, s.acknowledgement(), g.body)
		assert.Equal(t, "application/vnd.example", g.header.Get("Content-Type"))
		assert.Equal(t, "yes", g.header.Get("X-Application"))

		calls := app.calls()
		require.Len(t, calls, 1)
		call := calls[0]
		assert.Equal(t, note.body, call.body)
		assert.Equal(t, int64(len(note.body)), call.length)
		assert.Equal(t, "/notify/"+s.name, call.target)
		assert.Equal(t, []string{note.contentType}, call.header["Content-Type"])
		assert.Equal(t, []string{"true"}, call.header["Countersign-Verified"])
		assert.Equal(t, []string{s.signed}, call.header["Countersign-Signed"])

		entries := c.audit(t)
		require.Len(t, entries, 1)
		e := entries[0]
		assert.Equal(t, "ok", e.Outcome)
		assert.Empty(t, e.Verdict)
		assert.Equal(t, s.name, e.Profile)
		assert.Equal(t, s.name, e.Scheme)
		assert.Equal(t, s.keys, e.Reference)
		assert.Len(t, e.Fingerprints, 1)
		assert.Len(t, e.Canonical, 64)
		assert.Equal(t, len(note.body), e.RequestBytes)
		assert.Equal(t, http.StatusAccepted, e.UpstreamStatus)
		assert.Len(t, e.ID, 26)
		assert.Equal(t, len(s.acknowledgement()), e.ResponseBytes)
		assert.Eventually(t, func() bool {
			return strings.Contains(c.logged(t), `"countersign_id":"`+e.ID+`"`)
		}, 5*time.Second, 5*time.Millisecond, "the access log has the id")
	})
}

// canonicalOf returns the digest that the audit entry must have.
func canonicalOf(s side) string {
	text := sorted(s.members, "&")
	switch s.name {
	case "jeepay":
		text += "&" // its pieces end with it
	case "hbsk":
		text = "data=" + s.members[2].value + "&time=" + s.members[3].value
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestAuditNamesTheCanonicalString(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, _ *application) {
		t.Helper()
		require.Equal(t, http.StatusOK, c.post(t, s.genuine(t)).status)
		assert.Equal(t, canonicalOf(s), c.audit(t)[0].Canonical)
		for _, m := range s.members {
			if len(m.value) > 8 && m.value != "TRADE_SUCCESS" && !strings.Contains(s.keys, m.value) {
				assert.NotContains(t, c.logged(t), m.value, "no value is in any log")
			}
		}
	})
}

// refused posts what must not reach the application.
func refused(t *testing.T, c *running, app *application, note sent, code string) {
	t.Helper()
	g := c.post(t, note)
	assert.Equal(t, code, g.code(t), g.body)
	assert.Empty(t, app.calls(), "it has reached the application")
	assert.Empty(t, g.header.Get("Countersign-Verified"))
	outcomes := c.outcomes(t)
	require.NotEmpty(t, outcomes)
	assert.Equal(t, code, outcomes[len(outcomes)-1])
}

func TestTampered(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		note := s.genuine(t)
	next:
		for _, m := range s.members {
			for _, free := range s.notSigned {
				if m.name == free {
					continue next
				}
			}
			if m.value == "" {
				continue
			}
			old, changed := quoted(m.name)+":"+quoted(m.value), quoted(m.name)+":"+quoted(m.value+"0")
			without := strings.ReplaceAll(strings.ReplaceAll(note.body, old+",", ""), ","+old, "")
			if s.form {
				old, changed = formOf([]member{m}), formOf([]member{{m.name, m.value + "0"}})
				without = strings.ReplaceAll(note.body, old+"&", "")
			}
			require.Equal(t, 1, strings.Count(note.body, old), m.name)
			tampered := note
			tampered.body = strings.Replace(note.body, old, changed, 1)
			refused(t, c, app, tampered, "notification_signature_invalid")

			require.NotEqual(t, note.body, without)
			tampered.body = without
			if s.name == "hbsk" {
				assert.NotEqual(t, http.StatusOK, c.post(t, tampered).status, "left out: "+m.name)
				assert.Empty(t, app.calls())
				continue
			}
			refused(t, c, app, tampered, "notification_signature_invalid")
		}
		// The signature of another, genuine message.
		one, two := s.genuine(t), s.another(t, "another")
		refused(t, c, app, moved(t, s, one, two), "notification_signature_invalid")
		// The original still comes through.
		require.Equal(t, http.StatusOK, c.post(t, note).status)
		require.Len(t, app.calls(), 1)
	})
}

// signature returns the signature in a body.
func signature(t *testing.T, s side, body string) string {
	t.Helper()
	begin, end := `"sign":"`, `"`
	if s.form {
		begin, end = "sign=", "&"
	}
	_, rest, found := strings.Cut(body, begin)
	require.True(t, found)
	sig, _, _ := strings.Cut(rest, end)
	return sig
}

// moved is one with the signature of two.
func moved(t *testing.T, s side, one, two sent) sent {
	t.Helper()
	out := one
	out.body = strings.Replace(one.body, signature(t, s, one.body), signature(t, s, two.body), 1)
	require.NotEqual(t, one.body, out.body)
	return out
}

func TestWrongSignatures(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		note := s.genuine(t)
		sig := signature(t, s, note.body)
		replaced := func(by string) sent {
			out := note
			out.body = strings.Replace(note.body, sig, by, 1)
			return out
		}
		escape := func(text string) string {
			if s.form {
				return url.QueryEscape(text)
			}
			return text
		}
		text, err := url.PathUnescape(sig)
		require.NoError(t, err)
		for _, wrong := range []string{"", "AAAA", text[:len(text)-4], text + "AAAA", text[1:] + text[:1], " "} {
			refused(t, c, app, replaced(escape(wrong)), "notification_signature_invalid")
		}
		unsigned := note
		if s.form {
			unsigned.body = strings.Replace(note.body, "&sign="+sig, "", 1)
		} else {
			unsigned.body = strings.Replace(strings.Replace(note.body, `,"sign":"`+sig+`"`, "", 1), `"sign":null,`, "", 1)
		}
		require.NotEqual(t, note.body, unsigned.body)
		refused(t, c, app, unsigned, "notification_signature_invalid")
		if !s.form {
			wrongType := note
			wrongType.body = strings.Replace(note.body, `"`+sig+`"`, `["`+sig+`"]`, 1)
			refused(t, c, app, wrongType, "notification_invalid")
		}
		c.says(t, `"notification failed"`)
		assert.NotContains(t, c.logged(t), sig, "no log holds a signature")
	})
}

// Signed by a key that nobody agreed on: the merchant's own, or another secret.
func TestWrongKey(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		note := s.genuine(t)
		var forged string
		switch s.name {
		case "easypay":
			forged = signRSA(t, "../../keys-dev/merchant/easypay/ORG000000000007/sign.pem", sorted(s.members, "&"))
		case "hongwen":
			forged = signRSA(t, "../../keys-dev/merchant/hongwen/2014072300007148/sign.pem", sorted(s.members, "&"))
		case "jeepay":
			forged = md5Hex(sorted(s.members, "&") + "&key=" + "another")
		case "hkrt":
			forged = md5Hex(sorted(s.members, "&") + "another")
		case "hbsk":
			forged = hmacHex("another", "data="+s.members[2].value+"&time="+s.members[3].value)
		}
		if s.form {
			forged = url.QueryEscape(forged)
		}
		note.body = strings.Replace(note.body, signature(t, s, note.body), forged, 1)
		refused(t, c, app, note, "notification_signature_invalid")
	})
}

// A value that holds another signed member makes a string that can be cut in
// two ways.
func TestAmbiguous(t *testing.T) {
	for _, s := range sides {
		if s.name == "hbsk" {
			continue // its template has no members that concatenate
		}
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says(s.acknowledgement()))
			c := serve(t, s.directive("")+app.proxy())
			last := s.members[len(s.members)-1]
			if last.value == "" {
				last = s.members[len(s.members)-2]
			}
			refused(t, c, app, s.sign(t, with(s.members, last.name, "x&"+s.order+"=9")), "notification_signature_invalid")
			// Where the name is not a member the provider may have meant a link.
			require.Equal(t, http.StatusOK, c.post(t, s.sign(t, with(s.members, last.name, "https://a/?b=1&c=2"))).status)
		})
	}
}

func TestOversized(t *testing.T) {
	each(t, "max_request_body 2KiB", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		last := s.members[len(s.members)-1].name
		if s.name == "hbsk" {
			last = "text"
		}
		fits := s.sign(t, with(s.members, last, strings.Repeat("x", 900)))
		require.Equal(t, http.StatusOK, c.post(t, fits).status)
		require.Len(t, app.calls(), 1)
		refused(t, c, app, s.sign(t, with(s.members, last, strings.Repeat("x", 3000))), "request_too_large")
	})
}

func TestTheApplicationFailsAndRecovers(t *testing.T) {
	test := func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		note := s.genuine(t)
		app.answers(status(http.StatusInternalServerError, "out of order"))
		g := c.post(t, note)
		assert.Equal(t, http.StatusInternalServerError, g.status)
		assert.Equal(t, "out of order", g.body, "its own answer passes as it is")
		require.Len(t, app.calls(), 1)

		app.answers(says(s.acknowledgement()))
		g = c.post(t, note)
		assert.Equal(t, http.StatusOK, g.status)
		assert.Equal(t, s.acknowledgement(), g.body)
		require.Len(t, app.calls(), 1)
		assert.Equal(t, []string{"application_failed", "ok"}, c.outcomes(t))
	}
	each(t, "", test)
	eachOnce(t, "", test)
}

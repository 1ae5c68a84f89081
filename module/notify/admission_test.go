package notify_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A notification whose own time stamp is far from now is refused, either way.
func TestWindow(t *testing.T) {
	for _, s := range sides {
		if s.stamp == nil {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says(s.acknowledgement()))
			c := serve(t, s.directive("window 10m")+app.proxy())
			at := func(offset time.Duration) sent {
				members := s.members
				for _, m := range s.stamp(time.Now().Add(offset)) {
					members = with(members, m.name, m.value)
				}
				return s.sign(t, members)
			}
			for _, fresh := range []time.Duration{0, -9 * time.Minute, 9 * time.Minute} {
				require.Equal(t, http.StatusOK, c.post(t, at(fresh)).status, fresh)
				require.Len(t, app.calls(), 1)
			}
			for _, stale := range []time.Duration{-11 * time.Minute, -24 * time.Hour, 11 * time.Minute, 1000 * time.Hour} {
				refused(t, c, app, at(stale), "notification_stale")
			}
			refused(t, c, app, s.genuine(t), "notification_stale")
			stamp := s.stamp(time.Now())[0]
			for _, value := range []string{"", "yesterday", "1e9", "0x1", "-5", "9223372036854775807", "99999999999999999999999999"} {
				g := c.post(t, s.sign(t, with(s.members, stamp.name, value)))
				assert.Contains(t, []string{"notification_stale", "notification_invalid"}, g.code(t), value)
				assert.Empty(t, app.calls(), value)
			}
			// The stamp is signed: nobody can renew it.
			old := s.stamp(time.Now().Add(-time.Hour))[0]
			forged := s.sign(t, with(s.members, old.name, old.value))
			forged.body = strings.Replace(forged.body, old.value, stamp.value, 1)
			refused(t, c, app, forged, "notification_signature_invalid")
		})
	}
}

// Without a window the age does not matter.
func TestNoWindow(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		require.Equal(t, http.StatusOK, c.post(t, s.genuine(t)).status)
		assert.Len(t, app.calls(), 1)
	})
}

// A genuine notification that is somebody else's is refused.
func TestExpect(t *testing.T) {
	each(t, "", func(t *testing.T, s side, _ *running, app *application) {
		t.Helper()
		value := ""
		for _, m := range s.members {
			if m.name == s.order {
				value = m.value
			}
		}
		if s.name == "hbsk" {
			value = "FZ20230104"
		}
		lines := func(lines ...string) string { return "\t\texpect " + strings.Join(lines, "\n\t\texpect ") }
		for name, test := range map[string]struct {
			options string
			ours    bool
		}{
			"its value":                  {lines(s.expect + " " + value), true},
			"a prefix":                   {lines(s.expect + " " + value[:2] + "*"), true},
			"the whole value and a star": {lines(s.expect + " " + value + "*"), true},
			"one of several":             {lines(s.expect+" another", s.expect+" "+value, s.expect+" third"), true},
			"another value":              {lines(s.expect + " another"), false},
			"another prefix":             {lines(s.expect + " X*"), false},
			"a prefix without star":      {lines(s.expect + " " + value[:2]), false},
			"more than it":               {lines(s.expect + " " + value + "0"), false},
			"more than it, prefix":       {lines(s.expect + " " + value + "0*"), false},
			"none of several":            {lines(s.expect+" another", s.expect+" third"), false},
			"a value of one's own":       {lines(s.expect + " {env.COUNTERSIGN_TEST_ORDER}"), true},
			"a star in the middle":       {lines(s.expect + " " + value[:1] + "*" + value[2:]), false},
			"a member that is not there": {lines(s.expect+" "+value, missing(s)+" x"), false},
			"the same, by a prefix":      {lines(missing(s) + " x*"), false},
		} {
			t.Run(name, func(t *testing.T) {
				t.Setenv("COUNTERSIGN_TEST_ORDER", value)
				c := serve(t, s.directive(test.options)+app.proxy())
				if !test.ours {
					refused(t, c, app, s.genuine(t), "notification_not_ours")
					return
				}
				require.Equal(t, http.StatusOK, c.post(t, s.genuine(t)).status)
				require.Len(t, app.calls(), 1)
				// It is compared after it is verified.
				forged := moved(t, s, s.genuine(t), s.another(t, "another"))
				refused(t, c, app, forged, "notification_signature_invalid")
			})
		}
		// Every member that is named must be as expected.
		if s.name == "hbsk" {
			return
		}
		other := s.members[1]
		if other.name == s.order {
			other = s.members[0]
		}
		prefix := ""
		if s.name == "easypay" {
			prefix = "bizData."
		}
		c := serve(t, s.directive(lines(s.expect+" "+value, prefix+other.name+" "+other.value))+app.proxy())
		require.Equal(t, http.StatusOK, c.post(t, s.genuine(t)).status)
		require.Len(t, app.calls(), 1)
		refused(t, c, app, s.sign(t, with(s.members, other.name, "another")), "notification_not_ours")
	})
}

// missing returns a signed member that no notification of the tests has.
func missing(s side) string {
	switch s.name {
	case "easypay":
		return "bizData.nowhere"
	case "hbsk":
		return "data.nowhere"
	default:
		return "nowhere"
	}
}

// A member that looks like what is expected, in a place that is not signed, is
// not taken for it.
func TestExpectedMembersAreTheSignedOnes(t *testing.T) {
	s := sides[0]
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("expect bizData.oriOrgTrace MINE*")+app.proxy())
	note := s.genuine(t) // it is ORG…
	for _, edit := range []string{
		`"bizData.oriOrgTrace":"MINE1",`, `"oriOrgTrace":"MINE1",`, `"data.oriOrgTrace":"MINE1",`,
	} {
		edited := note
		edited.body = strings.Replace(note.body, "{", "{"+edit, 1)
		refused(t, c, app, edited, "notification_not_ours")
	}
	// Only the signed value is trimmed; what the application reads is compared.
	trimmed := note
	trimmed.body = strings.Replace(note.body, `"oriOrgTrace":"`, `"oriOrgTrace":" `, 1)
	refused(t, c, app, trimmed, "notification_not_ours")
	c = serve(t, s.directive("expect bizData.oriOrgTrace ORG*")+app.proxy())
	refused(t, c, app, trimmed, "notification_not_ours")
	require.Equal(t, http.StatusOK, c.post(t, note).status)

	// An empty parameter is not signed, so that anybody could add it.
	s = sides[1]
	app = newApplication(t, says("success"))
	c = serve(t, s.directive("expect shop E*")+app.proxy())
	note = s.genuine(t)
	note.body += "&shop="
	refused(t, c, app, note, "notification_not_ours")
}

// Numbers and booleans are compared as their token, deep in what is signed.
func TestExpectedPaths(t *testing.T) {
	s := sides[2]
	app := newApplication(t, says("ok"))
	sign := func(body, canonical string) sent {
		sig := md5Hex(canonical + readFile(t, devKeys+"hkrt/405544499f016a9b3d8f57000f/secret"))
		return sent{contentType: "application/json", body: strings.TrimSuffix(body, "}") + `,"sign":"` + sig + `"}`}
	}
	note := sign(`{"a":{"b":{"c":1.10}},"d":true,"e":[1,2],"f":"{\"g\":5}"}`, `a=b=c=1.10&d=true&e=1&2&f={"g":5}`)
	for expectation, ours := range map[string]bool{
		"a.b.c 1.10": true, "a.b.c 1.1": false, "d true": true, "d false": false, "f.g 5": true, "f.g 6": false,
		"e 1*": false, "e.x 1": false, "a 1": false, "a.b x": false, "a.b.c.d 1": false, "d.x true": false,
	} {
		c := serve(t, s.directive("expect "+expectation)+app.proxy())
		g := c.post(t, note)
		if ours {
			assert.Equal(t, http.StatusOK, g.status, expectation+" "+g.body)
			continue
		}
		assert.Equal(t, "notification_not_ours", g.code(t), expectation)
	}
}

// The older family of easypay signs data; both parts at once are an attack.
func TestEasypayParts(t *testing.T) {
	app := newApplication(t, says("ok"))
	s := sides[0]
	c := serve(t, s.directive("")+app.proxy())
	note := easypay(t, "data", s.members)
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	calls := app.calls()
	require.Len(t, calls, 1)
	assert.Equal(t, note.body, calls[0].body)
	assert.Equal(t, []string{"data"}, calls[0].header["Countersign-Signed"])

	forged := `"bizData":` + jsonOf(with(s.members, "transAmt", "9"))
	for _, body := range []string{
		strings.Replace(note.body, "{", "{"+forged+",", 1),
		strings.TrimSuffix(strings.TrimSpace(note.body), "}") + "," + forged + "}",
		strings.Replace(note.body, "{", `{"bizData":null,`, 1),
		strings.Replace(note.body, "{", `{"bizData":"",`, 1),
		strings.Replace(s.genuine(t).body, "{", `{"data":`+jsonOf(s.members)+",", 1),
		strings.Replace(s.genuine(t).body, "{", `{"data":{},`, 1),
	} {
		refused(t, c, app, sent{contentType: note.contentType, body: body}, "notification_invalid")
	}
	for _, body := range []string{
		strings.Replace(note.body, `"data": {`, `"other":{`, 1),
		strings.Replace(note.body, `"data":{`, `"other":{`, 1),
	} {
		if body != note.body {
			refused(t, c, app, sent{contentType: note.contentType, body: body}, "notification_invalid")
		}
	}
}

// The parts and the order of the members are the provider's own.
func TestTheOrderOfMembersDoesNotMatter(t *testing.T) {
	each(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		if s.name == "hbsk" {
			return
		}
		members := slices.Clone(s.members)
		slices.Reverse(members)
		note := s.sign(t, members)
		require.Equal(t, http.StatusOK, c.post(t, note).status)
		assert.Equal(t, note.body, app.calls()[0].body)
	})
}

package notify_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A reference can depend on the notification; what names no set is refused.
func TestReferences(t *testing.T) {
	for _, test := range []struct {
		side      int
		reference string
		member    string
	}{{0, "easypay/{body.orgId}", "orgId"}, {1, "jeepay/{body.mchNo}", "mchNo"}, {3, "hongwen/{body.mch_no}", "mch_no"}, {2, "hkrt/{body.accessid}", "accessid"}} {
		s := sides[test.side]
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says(s.acknowledgement()))
			c := serve(t, "\tcountersign_notify "+s.name+" {\n keys "+test.reference+"\n}\n"+app.proxy())
			note := s.genuine(t)
			require.Equal(t, http.StatusOK, c.post(t, note).status)
			assert.Equal(t, s.keys, c.audit(t)[0].Reference)
			require.Len(t, app.calls(), 1)
			_, reference, _ := strings.Cut(s.keys, "/")
			for _, value := range []string{"unknown", "..", "../jeepay", "a/b", "", strings.Repeat("x", 65)} {
				other := note
				if s.form {
					other.body = strings.Replace(note.body, formOf([]member{{test.member, reference}}), formOf([]member{{test.member, value}}), 1)
				} else {
					other.body = strings.Replace(note.body, quoted(test.member)+":"+quoted(reference), quoted(test.member)+":"+quoted(value), 1)
				}
				require.NotEqual(t, note.body, other.body)
				refused(t, c, app, other, "unknown_key_set")
			}
			if !s.form {
				other := note
				other.body = strings.Replace(note.body, quoted(reference), "5", 1)
				refused(t, c, app, other, "unknown_key_set")
			}
			const warning = "depends on a member that is not signed"
			if s.name == "easypay" {
				c.says(t, warning)
			} else {
				assert.NotContains(t, c.logged(t), warning)
			}
		})
	}
}

// What the log advises at the start is not what the configuration has already.
func TestOnceIsNotAdvisedTwice(t *testing.T) {
	const advice = "use once"
	s := sides[0]
	c := serve(t, s.directive("")+"respond ok")
	c.says(t, advice)
	assert.NotContains(t, c.logged(t), "seal aes", "a notification is opened, not sealed")
	assert.NotContains(t, serve(t, s.directive("once 1h")+"respond ok").logged(t), advice)
}

// A role that is missing leaves nothing verified.
func TestMissingKeys(t *testing.T) {
	empty := t.TempDir()
	for _, s := range sides {
		folder := filepath.Join(empty, s.keys)
		require.NoError(t, os.MkdirAll(folder, 0o700))
		// What the merchant signs with is there; what verifies is not.
		require.NoError(t, os.WriteFile(filepath.Join(folder, "sign.pem"), []byte(readFile(t, "../../keys-dev/merchant/easypay/ORG000000000007/sign.pem")), 0o600))
	}
	for _, s := range sides {
		app := newApplication(t, says(s.acknowledgement()))
		c := serve(t, s.directive("")+app.proxy())
		c.keys = empty
		c.load(t, s.directive("")+app.proxy())
		refused(t, c, app, s.genuine(t), "keys_unavailable")
	}
}

// Both the old key and the new one are accepted while the provider changes.
func TestTwoKeys(t *testing.T) {
	s := sides[0]
	folder := t.TempDir()
	set := filepath.Join(folder, s.keys)
	require.NoError(t, os.MkdirAll(set, 0o700))
	other := readFile(t, "../../keys-dev/merchant/hongwen/2014072300007148/verify.pem")
	mine := readFile(t, "../../keys-dev/merchant/easypay/ORG000000000007/verify.pem")
	require.NoError(t, os.WriteFile(filepath.Join(set, "verify.pem"), []byte(other+"\n"+mine+"\n"), 0o600))
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("")+app.proxy())
	c.keys = folder
	c.load(t, s.directive("")+app.proxy())
	require.Equal(t, http.StatusOK, c.post(t, s.genuine(t)).status)
	sig := signRSA(t, devKeys+"hongwen/2014072300007148/sign.pem", sorted(s.members, "&"))
	note := s.genuine(t)
	note.body = strings.Replace(note.body, signature(t, s, note.body), sig, 1)
	require.Equal(t, http.StatusOK, c.post(t, note).status)
	entries := c.audit(t)
	assert.NotEqual(t, entries[0].Fingerprints, entries[1].Fingerprints, "the log says which key it was")
}

// A key of another kind is refused for what it is, and not as a forgery.
func TestAKeyOfAnotherKind(t *testing.T) {
	folder := t.TempDir()
	s := sides[0]
	require.NoError(t, os.MkdirAll(filepath.Join(folder, s.keys), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, s.keys, "verify.pem"), []byte(sm2Key), 0o600))
	app := newApplication(t, says("ok"))
	c := serve(t, s.directive("")+app.proxy())
	c.keys = folder
	c.load(t, s.directive("")+app.proxy())
	refused(t, c, app, s.genuine(t), "keys_unavailable")
	c.says(t, "the role verify holds a key of the kind SM2, and easypay needs one of the kind RSA")
}

// sm2Key is a public key of SM2 as providers write it (GB/T 32918.5, annex A).
const sm2Key = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"

package proxy_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// keyFolder returns a copy of the merchant's development keys under other names.
func keyFolder(t *testing.T, references ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, reference := range references {
		copySet(t, filepath.Join(dir, filepath.FromSlash(reference)))
	}
	return dir
}

func copySet(t *testing.T, to string) {
	t.Helper()
	require.NoError(t, os.CopyFS(to, os.DirFS(filepath.Join(testcaddy.DevKeys("merchant"), "easypay", organisation))))
}

// startWithKeys runs a sidecar with a key folder and reference of its own.
func startWithKeys(t *testing.T, upstream, dir, reference, options string) *sidecar {
	t.Helper()
	address := testcaddy.FreeAddress(t)
	text := sidecarText(address, upstream, options)
	text = strings.Replace(text, testcaddy.DevKeys("merchant"), dir+" {\nrefresh 50ms\nsettle 1ms\n}", 1)
	text = strings.Replace(text, "keys easypay/"+organisation, "keys "+reference, 1)
	return &sidecar{Caddy: testcaddy.Run(t, text), t: t, url: "http://" + address + "/easypay/ledger/mpos"}
}

// {body.orgId} chooses the key set by the request. No path escapes.
func TestKeySetByRequest(t *testing.T) {
	d := newDouble(t)
	dir := keyFolder(t, "easypay/ORG000000000007", "easypay/"+strings.Repeat("a", 64), "outside", "easypay/-_.ok")
	s := startWithKeys(t, d.Address, dir, "easypay/{body.orgId}", "")
	with := func(raw string) []byte {
		return replaceOnce(t, sample(t), `"orgId": "ORG000000000007"`, `"orgId": `+raw)
	}

	for _, raw := range []string{`"ORG000000000007"`, `"ORG00000000000\u0037"`, `"` + strings.Repeat("a", 64) + `"`, `"-_.ok"`} {
		s.ok(t, s.post(with(raw)))
		assert.Contains(t, s.Logs.Audit(t, s.asked).String("reference"), "easypay/")
	}
	accepted := d.Accepted()
	for _, raw := range []string{
		`".."`, `"."`, `""`, `null`, `"../outside"`, `"..\/outside"`, `"\u002e\u002e"`, `"a/b"`, `"/"`, `"/etc"`, `"ORG000000000007/"`, `"..\\outside"`,
		`"` + strings.Repeat("a", 65) + `"`, `"` + strings.Repeat("x", 5000) + `"`, `7`, `true`, `{}`, `["ORG000000000007"]`, `"ORG000000000007\u0000"`,
		`" ORG000000000007"`, `"ORG000000000007\n"`, `"ＯRG"`, `"%2e%2e"`, `"{env.HOME}"`, `"*"`, `".hidden"`,
	} {
		t.Run(raw[:min(len(raw), 40)], func(t *testing.T) {
			s.problem(t, s.post(with(raw)), notSent("unknown_key_set", 404, "the request names no key set"))
			entry := s.Logs.Audit(t, s.asked)
			assert.Equal(t, "easypay/{body.orgId}", entry.String("reference"), "what a stranger wrote is not logged")
		})
	}
	s.problem(t, s.post([]byte(`{"bizData":{"a":"1"}}`)), notSent("unknown_key_set", 404, "the request names no key set"))
	// A name that is good and names nothing.
	start := time.Now()
	for range 20 {
		s.problem(t, s.post(with(`"nobody"`)), notSent("unknown_key_set", 404, "there is no key set"))
	}
	assert.Less(t, time.Since(start), 30*time.Second, "nobody waits for it")
	assert.LessOrEqual(t, len(s.Logs.Message("no such key set")), 2, "it is looked for once in a while")
	assert.Equal(t, accepted, d.Accepted())

	// One that is added serves soon.
	copySet(t, filepath.Join(dir, "easypay", "late"))
	require.Eventually(t, func() bool {
		s.asked++
		return testcaddy.Post(t, s.url, with(`"late"`)).Status == 200
	}, 10*time.Second, 100*time.Millisecond)
}

// Each role that the exchange will need is there before anything leaves.
func TestMissingRoles(t *testing.T) {
	for _, role := range []string{"sign", "verify", "encrypt", "decrypt"} {
		t.Run(role, func(t *testing.T) {
			d := newDouble(t)
			dir := keyFolder(t, "1")
			require.NoError(t, os.Remove(filepath.Join(dir, "1", role+".pem")))
			s := startWithKeys(t, d.Address, dir, "1", "")
			p := s.problem(t, s.post(sample(t)), notSent("keys_unavailable", 503, "has no "+role))
			assert.NotContains(t, p["detail"], dir)
			assert.Zero(t, d.Accepted())

			// What needs no encryption needs no keys for it.
			answer := s.post([]byte(`{"bizData":{"oriOrgTrace":"1"}}`))
			if role == "encrypt" || role == "decrypt" {
				assert.Equal(t, 200, answer.Status, "%s", answer.Body)
			} else {
				s.problem(t, answer, notSent("keys_unavailable", 503, "has no "+role))
			}
		})
	}
}

// A key that is broken gets a request its answer at once: waiting mends nothing.
func TestKeysThatDoNotLoad(t *testing.T) {
	d := newDouble(t)
	dir := keyFolder(t, "1")
	broken := filepath.Join(dir, "1", "sign.pem")
	good, err := os.ReadFile(broken)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(broken, good[:200], 0o600))
	s := startWithKeys(t, d.Address, dir, "1", "")
	start := time.Now()
	p := s.problem(t, s.post(sample(t)), notSent("keys_unavailable", 503, "the log says why"))
	assert.Less(t, time.Since(start), 2*time.Second)
	assert.NotContains(t, p["detail"], dir)
	found := s.Logs.Wait(t, 1, func(e testcaddy.Entry) bool {
		return e.String("msg") == "a role cannot be used; the set serves what does not need it"
	})
	assert.Contains(t, found[0].String("error"), broken)
	assert.Contains(t, found[0].String("error"), "incomplete")
	assert.Zero(t, d.Accepted())

	require.NoError(t, os.WriteFile(broken, good, 0o600))
	require.Eventually(t, func() bool {
		s.asked++
		return testcaddy.Post(t, s.url, sample(t)).Status == 200
	}, 5*time.Second, 50*time.Millisecond, "it heals by itself")
}

// Changed files are taken up while requests run, and none fails. A half-written
// file keeps the old set, and the log says so.
func TestKeysChangeWhileServing(t *testing.T) {
	d := newDouble(t)
	dir := keyFolder(t, "1")
	s := startWithKeys(t, d.Address, dir, "1", "")
	s.ok(t, s.post(sample(t)))
	verify := filepath.Join(dir, "1", "verify.pem")
	old, err := os.ReadFile(verify)
	require.NoError(t, err)
	other, err := os.ReadFile(filepath.Join(testcaddy.DevKeys("merchant"), "jeepay", "M1623997351", "verify.pem"))
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(verify, old[:len(old)/2], 0o600))
	s.Logs.Wait(t, 1, func(e testcaddy.Entry) bool {
		return e.String("msg") == "loading keys failed; the last good ones stay in use"
	})
	s.ok(t, s.post(sample(t)))

	// Both the old and the new verify key are there: answers by either pass.
	replaceFile(t, verify, append(bytes.Clone(other), old...))
	s.Logs.Wait(t, 2, func(e testcaddy.Entry) bool { return e.String("msg") == "keys loaded" })
	s.ok(t, s.post(sample(t)))

	// The old one is gone: what it signed no longer does.
	replaceFile(t, verify, other)
	s.Logs.Wait(t, 3, func(e testcaddy.Entry) bool { return e.String("msg") == "keys loaded" })
	w := unverified("response_signature_invalid", 200)
	s.problem(t, s.post(sample(t)), w)
}

// The provider may rotate while a request is under way: newer keys are tried
// when those that sealed fail, and the older ones serve on.
func TestKeysChangeWithinAnExchange(t *testing.T) {
	other, err := os.ReadFile(filepath.Join(testcaddy.DevKeys("merchant"), "jeepay", "M1623997351", "verify.pem"))
	require.NoError(t, err)
	good, err := os.ReadFile(filepath.Join(testcaddy.DevKeys("merchant"), "easypay", organisation, "verify.pem"))
	require.NoError(t, err)
	for name, c := range map[string]struct{ before, during []byte }{
		"to the key that verifies":   {other, good},
		"from the key that verifies": {good, other},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t)
			dir := keyFolder(t, "1")
			verify := filepath.Join(dir, "1", "verify.pem")
			require.NoError(t, os.WriteFile(verify, c.before, 0o600))
			received, changed := make(chan bool), make(chan bool)
			d.set(func(conn *testcaddy.Conn) {
				if r := conn.Request(); r != nil {
					received <- true
					<-changed
					conn.Answer(200, closing, easypayAnswer(d.keys, r, "").Body)
				}
			})
			s := startWithKeys(t, d.Address, dir, "1", "")
			answers := make(chan *testcaddy.Answer)
			go func() {
				answer, err := testcaddy.TryPost(t.Context(), s.url, sample(t))
				assert.NoError(t, err)
				answers <- answer
			}()
			<-received
			require.NoError(t, os.WriteFile(verify, c.during, 0o600))
			s.Logs.Wait(t, 2, func(e testcaddy.Entry) bool { return e.String("msg") == "keys loaded" })
			changed <- true
			answer := <-answers
			s.asked++
			s.ok(t, answer)
		})
	}
}

// A signature that cannot be made: the text that the encryption key shall wrap
// is longer than the key.
func TestSigningFailed(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "envelope_prefix "+strings.Repeat("p", 100))
	s.problem(t, s.post(sample(t)), notSent("signing_failed", 503, "the log says which key failed"))
	assert.Zero(t, d.Accepted())
	found := s.Logs.Message("exchange failed")
	require.Len(t, found, 1)
	assert.Contains(t, found[0].String("cause"), "wrapping the symmetric key")
}

// The throwaway keys of keys-dev may serve a sandbox. Where they serve a public
// upstream, the log warns.
func TestDevelopmentKeysWarning(t *testing.T) {
	const warning = "development keys serve a public upstream; everybody has these keys: use keys of your own"
	dead := "http {\n resolvers " + testcaddy.FreeAddress(t) + "\n}\ndial_timeout 100ms"
	warned := func(s *sidecar) int {
		s.Logs.Wait(t, 1, func(e testcaddy.Entry) bool { return e.String("msg") == "keys loaded" })
		time.Sleep(20 * time.Millisecond)
		return len(s.Logs.Message(warning))
	}
	t.Run("local", func(t *testing.T) {
		d := newDouble(t)
		s := startSidecar(t, d.Address, "")
		s.ok(t, s.post(sample(t)))
		assert.Zero(t, warned(s))
	})
	t.Run("public", func(t *testing.T) {
		s := startSidecar(t, "https://provider.invalid", dead)
		found := s.Logs.Wait(t, 1, func(e testcaddy.Entry) bool { return e.String("msg") == warning })
		assert.Equal(t, "warn", found[0].String("level"))
		assert.Equal(t, "easypay/"+organisation, found[0].String("reference"))
		s.post(sample(t))
		assert.Equal(t, 1, warned(s), "once")
	})
	t.Run("public, keys by the request", func(t *testing.T) {
		s := startWithKeys(t, "https://provider.invalid", testcaddy.DevKeys("merchant"), "easypay/{body.orgId}", dead)
		assert.Empty(t, s.Logs.Message(warning), "nobody knows yet")
		s.post(sample(t))
		s.post(sample(t))
		assert.Equal(t, 1, warned(s))
	})
	t.Run("public, keys of one's own", func(t *testing.T) {
		dir := keyFolder(t, "1")
		// Another key in the place of the published one.
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1", "sign.pem"), []byte(bare64(x509.MarshalPKCS1PrivateKey(key))), 0o600))
		s := startWithKeys(t, "https://provider.invalid", dir, "1", dead)
		s.post(sample(t))
		assert.Zero(t, warned(s))
	})
}

// Sets are kept apart by source: the same reference in two sources names two
// sets.
func TestNamedSources(t *testing.T) {
	d := newDouble(t)
	empty := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(empty, "another"), 0o700)) // a source without any set is broken
	address := testcaddy.FreeAddress(t)
	c := testcaddy.Run(t, fmt.Sprintf(`{
	countersign {
		keys file %s
		keys file %s {
			name second
			refresh 100ms
			settle 1ms
		}
	}
}
http://%s {
	log
	bind 127.0.0.1
	handle_path /first/* {
		countersign easypay %s {
			keys easypay/%s
			profile one
		}
	}
	handle_path /second/* {
		countersign easypay %s {
			keys second easypay/%s
			profile two
		}
	}
}`, empty, testcaddy.DevKeys("merchant"), address, d.Address, organisation, d.Address, organisation))
	s := &sidecar{Caddy: c, t: t, url: "http://" + address + "/first/ledger/mpos"}
	s.problem(t, s.post(sample(t)), notSent("unknown_key_set", 404, ""))
	assert.Equal(t, "one", s.Logs.Audit(t, 1).String("profile"))
	s.url = "http://" + address + "/second/ledger/mpos"
	s.ok(t, s.post(sample(t)))
	assert.Equal(t, "two", s.Logs.Audit(t, 2).String("profile"))
	assert.Equal(t, "easypay", s.Logs.Audit(t, 2).String("scheme"))
}

// A key of another kind than the recipe needs signs nothing, and nothing is sent.
func TestAKeyOfAnotherKind(t *testing.T) {
	d := newDouble(t)
	dir := keyFolder(t, "a")
	verify := filepath.Join(dir, "a", "verify.pem")
	require.NoError(t, os.WriteFile(verify, []byte("0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"), 0o600))
	s := startWithKeys(t, d.Address, dir, "a", "")
	s.problem(t, s.post(sample(t)), notSent("keys_unavailable", 503, "the role verify holds a key of the kind SM2, and easypay needs one of the kind RSA"))
	assert.Zero(t, d.Accepted())
}

// replaceFile writes a file whole: one that is written in place is empty for a moment,
// which on a busy machine is long enough to be taken up.
func replaceFile(t *testing.T, path string, text []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

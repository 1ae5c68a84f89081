package vault

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

// A version with a lifetime is deleted when its time has passed, not before.
func TestDeletionTime(t *testing.T) {
	const format = `{"data":{"current_version":1,"versions":{"1":{"created_time":"x","deletion_time":%q,"destroyed":%t}}}}`
	for name, test := range map[string]struct {
		deletion  string
		destroyed bool
		serves    bool
	}{
		"none":                         {"", false, true},
		"in 720 hours":                 {time.Now().Add(720 * time.Hour).UTC().Format(time.RFC3339Nano), false, true},
		"in 720 hours, with an offset": {time.Now().Add(720 * time.Hour).In(time.FixedZone("", 8*3600)).Format(time.RFC3339Nano), false, true},
		"a second ago":                 {time.Now().Add(-time.Second).UTC().Format(time.RFC3339Nano), false, false},
		"not a time":                   {"never", false, false},
		"destroyed":                    {"", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := against(t, answers(t, map[string]string{
				"/v1/auth/token/lookup-self": self,
				"/v1/secret/metadata/a":      fmt.Sprintf(format, test.deletion, test.destroyed),
				"/v1/secret/data/a":          `{"data":{"data":{"secret":"s"},"metadata":{"version":1,"created_time":"x"}}}`,
			}).URL)
			first, err := s.Load(t.Context(), "a", nil)
			require.NoError(t, err)
			again, err := s.Load(t.Context(), "a", first)
			if test.serves {
				require.NoError(t, err)
				assert.Same(t, first, again)
				return
			}
			require.ErrorIs(t, err, keys.ErrUnknown)
		})
	}
}

// transit is a Vault with one Transit key that is rotated.
type transit struct {
	mu       sync.Mutex
	versions []*rsa.PrivateKey
	minimum  int
	reads    int
	refused  int
	refusal  int
}

func (v *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	data := map[string]any{}
	switch r.URL.Path {
	case "/v1/auth/token/lookup-self":
		data["ttl"] = 0
	case "/v1/secret/data/a":
		data["data"] = map[string]any{"sign": "transit:transit/a"}
		data["metadata"] = map[string]any{"version": 1, "created_time": "x"}
	case "/v1/transit/keys/a":
		v.reads++
		public := map[string]any{}
		for i, key := range v.versions {
			der, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
			public[fmt.Sprint(i+1)] = map[string]any{"public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
		}
		data = map[string]any{"type": "rsa-2048", "latest_version": len(v.versions), "min_decryption_version": 1, "keys": public}
	case "/v1/transit/sign/a/sha2-256":
		var body struct {
			Input   []byte
			Version int `json:"key_version"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		if body.Version < v.minimum {
			v.refused++
			w.WriteHeader(v.refusal)
			return
		}
		signature, _ := rsa.SignPKCS1v15(nil, v.versions[body.Version-1], crypto.SHA256, body.Input)
		data["signature"] = "vault:v1:" + base64.StdEncoding.EncodeToString(signature)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func (v *transit) rotate(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.versions = append(v.versions, key)
	return key
}

// Transit is rotated and the old version forbidden at once: the latest version
// signs, Vault is asked once for it, and no signature fails.
func TestTransitRotationWithMinimumVersion(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusBadRequest} { // Vault 1.21 answers 500
		t.Run(fmt.Sprint(status), func(t *testing.T) { testTransitRotation(t, status) })
	}
}

func testTransitRotation(t *testing.T, status int) {
	v := &transit{refusal: status}
	v.rotate(t)
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	set, err := against(t, server.URL).Load(t.Context(), "a", nil)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("x"))
	for rotation := 2; rotation <= 3; rotation++ {
		latest := v.rotate(t)
		v.mu.Lock()
		v.minimum, v.reads, v.refused = rotation, 0, 0
		v.mu.Unlock()
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				signature, err := set.Sign.Signer.Sign(nil, digest[:], crypto.SHA256)
				if assert.NoError(t, err) {
					assert.NoError(t, rsa.VerifyPKCS1v15(&latest.PublicKey, crypto.SHA256, digest[:], signature))
				}
			})
		}
		group.Wait()
		assert.Equal(t, 1, v.reads)
		refused := v.refused
		_, err = set.Sign.Signer.Sign(nil, digest[:], crypto.SHA256)
		require.NoError(t, err)
		assert.Equal(t, refused, v.refused, "what was learnt is kept")
	}
	v.minimum = 9 // a refusal for another reason stays one
	_, err = set.Sign.Signer.Sign(nil, digest[:], crypto.SHA256)
	require.ErrorContains(t, err, fmt.Sprint("vault answers ", status))
}

func TestTokenFilesAsPeopleHaveThem(t *testing.T) {
	const wrapped = `{"token":"hvs.wrapping","accessor":"a","ttl":300,"creation_time":"2026-01-01T00:00:00Z","creation_path":"auth/approle/login"}`
	var used atomic.Bool // the wrapping token is
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Token string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		if r.Header.Get("X-Vault-Token") == "hvs.wrapping" { // as Vault does, whatever is asked
			used.Store(true)
		}
		switch {
		case r.URL.Path == "/v1/sys/wrapping/lookup" && body.Token == "hvs.wrapping" && !used.Load():
			_, _ = w.Write([]byte(`{"data":{"creation_path":"auth/approle/login"}}`))
		case r.URL.Path == "/v1/auth/token/lookup-self" && r.Header.Get("X-Vault-Token") == "hvs.good":
			_, _ = w.Write([]byte(self))
		case r.URL.Path == "/v1/sys/wrapping/lookup":
			w.WriteHeader(http.StatusBadRequest)
		case strings.ContainsAny(r.Header.Get("X-Vault-Token"), "\"=") || len(r.Header.Get("X-Vault-Token")) > 4096 || strings.HasPrefix(r.Header.Get("X-Vault-Token"), "eyJ"):
			w.WriteHeader(http.StatusInternalServerError) // as Vault 1.21 does
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	s := against(t, server.URL)
	for name, test := range map[string]struct{ text, err string }{
		"plain":                      {"hvs.good", ""},
		"line break":                 {"hvs.good\r\n", ""},
		"byte order mark":            {"\ufeffhvs.good\n", ""},
		"UTF-16":                     {"\xff\xfeh\x00v\x00s\x00", "is UTF-16; save it as UTF-8"},
		"zero-width space":           {"hvs.good\u200b", "a character that is not ASCII"},
		"blank":                      {"hvs. good", "holds a blank"},
		"two lines":                  {"hvs.good\nhvs.other", "must hold one text on one line"},
		"empty":                      {"\n", "must hold one text on one line"},
		"wrapping token":             {"hvs.wrapping", "holds a wrapping token, and the sidecar needs the token itself; remove wrap_ttl"},
		"wrapping token of an agent": {wrapped, "holds JSON, as a Vault Agent writes a wrapped token"},
		"quotes":                     {`"hvs.good"`, "it stands in quotes"},
		"a line of an environment":   {"VAULT_TOKEN=hvs.good", "it has a =, as in VAULT_TOKEN=…"},
		"a JWT":                      {"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "it is a JWT"},
		"a page":                     {"<html>hvs.good</html>", "it may be no token of Vault's"},
		"many tokens":                {strings.Repeat("hvs.good", 1000), "it is longer than a token"},
		"ended":                      {"hvs.ended", "it has ended, or it lacks the policy default, or it is a wrapping token that was used"},
	} {
		require.NoError(t, os.WriteFile(s.Auth.TokenFile, []byte(test.text), 0o600))
		_, err := s.client.session.login(t.Context())
		if test.err == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, test.err, name)
		assert.NotContains(t, err.Error(), "hvs", name)
	}
}

// limited is a Vault that answers so many requests a second.
type limited struct {
	http.Handler
	rate   int
	mu     sync.Mutex
	second int64
	taken  int
}

func (l *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	if now := time.Now().Unix(); now != l.second {
		l.second, l.taken = now, 0
	}
	l.taken++
	ok := l.taken <= l.rate
	l.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	l.Handler.ServeHTTP(w, r)
}

// Names that are not there cost one list, where the policy allows to list, and
// one request each where it does not.
func TestMadeUpNames(t *testing.T) {
	for _, mayList := range []bool{true, false} {
		var reads, lists atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v1/auth/token/lookup-self":
				_, _ = w.Write([]byte(self))
			case r.URL.Path == "/v1/sys/wrapping/lookup":
				w.WriteHeader(http.StatusBadRequest)
			case r.URL.Query().Get("list") == "true":
				assert.Equal(t, "/v1/secret/metadata/m", r.URL.Path)
				lists.Add(1)
				if !mayList {
					w.WriteHeader(http.StatusForbidden)
				}
				_, _ = w.Write([]byte(`{"data":{"keys":["real","folder/"]}}`))
			case r.URL.Path == "/v1/secret/data/m/real":
				_, _ = w.Write([]byte(`{"data":{"data":{"secret":"s"},"metadata":{"version":1,"created_time":"x"}}}`))
			default:
				reads.Add(1)
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		s := against(t, server.URL)
		for i := range 100 {
			_, err := s.Load(t.Context(), fmt.Sprint("m/forged", i), nil)
			require.ErrorIs(t, err, keys.ErrUnknown)
		}
		assert.EqualValues(t, 1, lists.Load())
		if mayList {
			assert.EqualValues(t, 1, reads.Load())
		} else {
			assert.EqualValues(t, 100, reads.Load())
		}
		_, err := s.Load(t.Context(), "m/real", nil)
		require.NoError(t, err)
		server.Close()
	}
}

// What asking again does not mend answers at once.
func TestBrokenSets(t *testing.T) {
	for name, byPath := range map[string]map[string]string{
		"a field that is no string": {"/v1/secret/data/a": `{"data":{"data":{"secret":1},"metadata":{"version":1,"created_time":"x"}}}`},
		"an empty secret":           {"/v1/secret/data/a": `{"data":{"data":{"secret":""},"metadata":{"version":1,"created_time":"x"}}}`},
		"KV version 1":              {"/v1/secret/data/a": `{"data":{"secret":"s"}}`},
	} {
		byPath["/v1/auth/token/lookup-self"] = self
		_, err := against(t, answers(t, byPath).URL).Load(t.Context(), "a", nil)
		require.ErrorIs(t, err, keys.ErrBroken, name)
	}
}

// The fields of roles with an id are passed through.
func TestFieldsWithAnID(t *testing.T) {
	s := against(t, answers(t, map[string]string{
		"/v1/auth/token/lookup-self": self,
		"/v1/secret/data/a":          `{"data":{"data":{"secret":"s","secret@iv":"0123","sign.serial":"5157F09E","note":"other"},"metadata":{"version":1,"created_time":"x"}}}`,
	}).URL)
	set, err := s.Load(t.Context(), "a", nil)
	require.NoError(t, err)
	assert.True(t, set.Has("secret@iv"))
	serial, ok := set.Serial(keys.Sign)
	assert.True(t, ok)
	assert.Equal(t, "5157F09E", serial)
}

// The api reads some variables at each request, others when a client is made.
// integration/vault has a process that starts with all of them.
func TestEnvironmentOfARequest(t *testing.T) {
	for _, name := range []string{"VAULT_WRAP_TTL", "VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_HEADERS", "VAULT_MAX_RETRIES", "VAULT_ADDR"} {
		t.Setenv(name, "nonsense")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/sys/wrapping/lookup" {
			assert.Equal(t, secretToken, r.Header.Get("X-Vault-Token"))
		}
		for _, name := range []string{"X-Vault-Wrap-Ttl", "X-Vault-Namespace"} {
			assert.Empty(t, r.Header.Values(name))
		}
		_, _ = w.Write([]byte(self))
	}))
	t.Cleanup(server.Close)
	s := against(t, server.URL)
	require.NoError(t, s.Probe(t.Context()))
	_, err := s.client.write(t.Context(), "auth/approle/login", map[string]any{})
	require.NoError(t, err)
}

// SM2 keys stand in fields as the bank wrote them: hexadecimal or Base64.
func TestSM2InFields(t *testing.T) {
	const private = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
	const public = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
	s := against(t, answers(t, map[string]string{
		"/v1/auth/token/lookup-self": self,
		"/v1/secret/data/a":          `{"data":{"data":{"sign":"` + private + `","decrypt":"` + private + `","verify":"` + public + `","encrypt":"` + public[2:] + `"},"metadata":{"version":1,"created_time":"x"}}}`,
	}).URL)
	set, err := s.Load(t.Context(), "a", nil)
	require.NoError(t, err)
	for _, role := range []keys.Role{keys.Sign, keys.Decrypt, keys.Verify, keys.Encrypt} {
		assert.Equal(t, []string{keys.KindSM2}, set.Kinds(role), role)
		assert.Equal(t, set.Fingerprints(keys.Verify), set.Fingerprints(role), "the two halves of the standard's example: %s", role)
	}
}

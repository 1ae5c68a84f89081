package guardrails_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
	"github.com/countersign/caddy-countersign/module/network/networktest"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
)

// example returns a Caddyfile that ships, with what a test must change. Each change must
// find its place.
func example(t *testing.T, name string, changes ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "caddyfiles", name))
	require.NoError(t, err)
	for i := 0; i < len(changes); i += 2 {
		require.Contains(t, string(text), changes[i], name)
	}
	return strings.ReplaceAll(strings.NewReplacer(changes...).Replace(string(text)), "keys file keys-dev/", "keys file $REPO/keys-dev/")
}

// order returns the sample request with an order number and amounts of its own.
func order(t *testing.T, trace, one, two string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "caddyfiles/samples/easypay.json"))
	require.NoError(t, err)
	out := regexp.MustCompile(`"orgTrace": *"[^"]*"`).ReplaceAllString(string(text), `"orgTrace": "`+trace+`"`)
	require.NotEqual(t, string(text), out)
	amounts := []string{one, two}
	found := 0
	out = regexp.MustCompile(`"transAmt": *"(30|70)"`).ReplaceAllStringFunc(out, func(string) string {
		found++
		return `"transAmt": "` + amounts[found-1] + `"`
	})
	require.Equal(t, 2, found)
	return out
}

// audit reads the entries of the audit log with a message, once there are n.
func (s *sidecar) audit(t *testing.T, n int, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	require.Eventually(t, func() bool {
		found = nil
		for _, file := range []string{"output.log", "audit.log"} {
			text, _ := os.ReadFile(filepath.Join(s.Dir, file))
			for line := range strings.Lines(string(text)) {
				if e := parse(line); e["logger"] == "http.countersign.audit" && e["msg"] == message {
					found = append(found, e)
				}
			}
		}
		return len(found) >= n
	}, 20*time.Second, 20*time.Millisecond)
	return found
}

// One merchant, a ceiling, and a socket that only its owner and one group may open.
func TestMerchant(t *testing.T) {
	run := process.Folder(t)
	const shop = 4711 // the group
	require.NoError(t, os.Chmod(run, 0o750|os.ModeSetgid))
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(run, 0, shop))
		require.NoError(t, os.Chmod(run, 0o750|os.ModeSetgid))
	}
	socket := filepath.Join(run, "pay.sock")
	text := example(t, "guard-merchant.Caddyfile", ":9091 {", "http://127.0.0.1:$PORT {", "127.0.0.1:9091", "127.0.0.1:$PORT")
	_, port, err := net.SplitHostPort(networktest.Address(t))
	require.NoError(t, err)
	s := start(t, strings.ReplaceAll(text, "$PORT", port), "unix", socket, "COUNTERSIGN_RUN="+run)

	awaitMode(s, socket, 0o660)
	if os.Getuid() == 0 {
		assertOwner(t, socket, 0, shop)
		assert.NoError(t, dialAs(t, socket, 4712, shop), "another user of the group")
		assert.ErrorIs(t, dialAs(t, socket, 4712, 4713), os.ErrPermission, "a stranger")
	}

	c := client("unix", socket)
	ask := func(path, body, reason string, status int) {
		t.Helper()
		a, err := post(c, "http://localhost"+path, body)
		require.NoError(t, err)
		assert.Equal(t, status, a.Status, a.Body)
		assert.Equal(t, reason, a.reason())
	}
	const pay = "/easypay/ledger/mpos"
	ask(pay, order(t, "A1", "50000", "50000.00"), "", 200)
	ask(pay, order(t, "A1", "1", "1"), "duplicate_request", 409)
	ask(pay, order(t, "A2", "50000.01", "1"), "over_limit", 403)
	ask(pay, strings.Replace(order(t, "A2", "1", "1"), "ORG000000000007", "ORG000000000008", 1), "not_allowed", 403)
	ask("/easypay/ledger/other", order(t, "A2", "1", "1"), "not_allowed", 403)
	for n := range 9 {
		ask(pay, order(t, fmt.Sprint("B", n), "50000", "50000"), "", 200)
	}
	ask(pay, order(t, "C", "0.01", "0"), "over_budget", 403)
	a, err := post(c, "http://localhost/easypay/ledger/mposfind", `{"orgId":"ORG000000000007","bizData":{"oriOrgTrace":"A1"}}`)
	require.NoError(t, err)
	assert.NotContains(t, []string{"over_limit", "not_allowed", "over_budget"}, a.reason(), "asking needs no amount")
	assert.NotEmpty(t, s.audit(t, 10, "intent"))
	assert.NotEmpty(t, s.audit(t, 10, "exchange")[0]["hash"])
}

// Many merchants and calling systems, each known by its token, with a Redis that two
// replicas share.
func TestPlatform(t *testing.T) {
	redis := redistest.Start(t, "--appendonly", "yes")
	_, port, err := net.SplitHostPort(networktest.Address(t))
	require.NoError(t, err)
	var replicas []*sidecar
	for n := range 2 {
		changes := []string{"\n:8082 {", "\nhttp://$SITE {", "\n:9092 {", "\nhttp://127.0.0.1:$PORT {", "127.0.0.1:9092", "127.0.0.1:$PORT"}
		text := example(t, "guard-platform.Caddyfile", changes...)
		if n == 1 { // the sandbox is in the first
			text = text[:strings.Index(text, "\nhttp://127.0.0.1:$PORT {")]
		}
		address := networktest.Address(t)
		text = strings.NewReplacer("$SITE", address, "$PORT", port).Replace(text)
		replicas = append(replicas, start(t, text, "tcp", address, "REDIS="+redis.URL()))
	}
	ask := func(n int, user, body string) answer {
		t.Helper()
		a, err := post(client("tcp", replicas[n].address), "http://"+replicas[n].address+"/easypay/ledger/mpos", body, func(r *http.Request) {
			if user != "" {
				r.SetBasicAuth(user, "try me")
			}
		})
		require.NoError(t, err)
		return a
	}
	assert.Equal(t, http.StatusUnauthorized, ask(0, "", order(t, "A", "1", "1")).Status)
	assert.Equal(t, http.StatusUnauthorized, ask(0, "nobody", order(t, "A", "1", "1")).Status)
	for n, user := range []string{"shop", "market"} {
		a := ask(n, user, order(t, user, "1", "1"))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		assert.Equal(t, user, replicas[n].audit(t, 1, "exchange")[0]["caller"])
	}
	assert.Equal(t, "duplicate_request", ask(1, "market", order(t, "shop", "1", "1")).reason(), "the other replica has sent it")
	for n := range 9 {
		require.Equal(t, http.StatusOK, ask(n%2, "shop", order(t, fmt.Sprint("B", n), "50000", "50000")).Status)
	}
	a := ask(1, "market", order(t, "C", "50000", "50000"))
	assert.Equal(t, "over_budget", a.reason(), "the merchant's")
	assert.Contains(t, a.Body, "budget merchant")
}

// A budget for each caller: what one has spent the other still has, and nobody has
// none.
func TestBudgetByCaller(t *testing.T) {
	text := example(t, "guard-platform.Caddyfile", "\n:8082 {", "\nhttp://$SITE {", "\n:9092 {", "\nhttp://127.0.0.1:$PORT {", "127.0.0.1:9092", "127.0.0.1:$PORT",
		"5000000 per 24h by {caller}", "100 per 24h by {caller}", " {$REDIS:redis://127.0.0.1:6379}", "")
	_, port, err := net.SplitHostPort(networktest.Address(t))
	require.NoError(t, err)
	address := networktest.Address(t)
	s := start(t, strings.NewReplacer("$SITE", address, "$PORT", port).Replace(text), "tcp", address)
	ask := func(user, body string) answer {
		t.Helper()
		a, err := post(client("tcp", address), "http://"+address+"/easypay/ledger/mpos", body, func(r *http.Request) { r.SetBasicAuth(user, "try me") })
		require.NoError(t, err)
		return a
	}
	assert.Equal(t, http.StatusOK, ask("shop", order(t, "1", "60", "40")).Status)
	assert.Equal(t, "over_budget", ask("shop", order(t, "2", "0.01", "0")).reason())
	assert.Equal(t, http.StatusOK, ask("market", order(t, "2", "60", "40")).Status)
	assert.Equal(t, "over_budget", ask("market", order(t, "3", "0.01", "0")).reason())
	refused := s.audit(t, 4, "exchange")[1]
	assert.Equal(t, "shop", refused["caller"])
	assert.Equal(t, "refused:budget", refused["guard"])
}

// Two people, known by their certificates, and keys that never leave Vault.
func TestTreasury(t *testing.T) {
	jeepay := filepath.Join(repository(t), "keys-dev/merchant/jeepay")
	t.Run("files", func(t *testing.T) {
		keys := process.Folder(t)
		require.NoError(t, os.CopyFS(filepath.Join(keys, "jeepay"), os.DirFS(jeepay)))
		require.NoError(t, os.CopyFS(filepath.Join(keys, "audit"), os.DirFS(filepath.Join(jeepay, "M1623997351"))))
		text := example(t, "guard-treasury.Caddyfile")
		block := regexp.MustCompile(`keys vault [^\n]*\{\n[^}]*\}[^}]*\}\n`)
		require.Regexp(t, block, text)
		treasury(t, block.ReplaceAllString(text, "keys file "+keys+"\n"))
	})
	t.Run("transit", func(t *testing.T) {
		if testing.Short() {
			t.Skip("it starts a Vault server")
		}
		vault := vaulttest.Start(t)
		verify, err := os.ReadFile(filepath.Join(jeepay, "M1623997351/verify.pem"))
		require.NoError(t, err)
		require.NoError(t, vault.EnableKV("payments"))
		require.NoError(t, vault.EnableTransit("signing"))
		rules := ""
		for reference, key := range map[string]string{"jeepay/M1623997351": "merchant", "audit": "audit"} {
			require.NoError(t, vault.CreateKey("signing", key, "rsa-2048"))
			_, err := vault.PutSecret("payments", reference, map[string]string{"sign": "transit:signing/" + key, "verify": string(verify)})
			require.NoError(t, err)
			for path, capability := range map[string]string{
				"payments/data/" + reference: "read", "payments/metadata/" + reference: "read",
				"signing/keys/" + key: "read", "signing/sign/" + key + "/sha2-256": "update",
			} {
				rules += fmt.Sprintf("path %q { capabilities = [%q] }\n", path, capability)
			}
		}
		require.NoError(t, vault.WritePolicy("treasury", rules))
		token, err := vault.CreateToken(vaulttest.Tokens{Policies: []string{"treasury"}, TTL: time.Hour})
		require.NoError(t, err)
		file := filepath.Join(process.Folder(t), "token")
		require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
		treasury(t, example(t, "guard-treasury.Caddyfile"), "VAULT_ADDR="+vault.URL, "VAULT_TOKEN_FILE="+file)
	})
}

func treasury(t *testing.T, text string, environment ...string) {
	t.Helper()
	server, people, strangers := newAuthority(t), newAuthority(t), newAuthority(t)
	tlsDir := process.Folder(t)
	_, certificate, key := server.issue(t, "treasury.example")
	for name, content := range map[string][]byte{"server.pem": certificate, "server.key": key, "people.pem": people.pem} {
		require.NoError(t, os.WriteFile(filepath.Join(tlsDir, name), content, 0o600))
	}
	address := networktest.Address(t)
	p := startProvider(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	for _, change := range [][2]string{{":8443 {", ":" + port + " {"}, {"{$PROVIDER:https://pay.example.com}", p.Listener.Addr().String()}} {
		require.Contains(t, text, change[0])
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	s := start(t, text, "tcp", address, append(environment, "TREASURY_TLS="+tlsDir, "TREASURY_LOGS=$DIR")...)
	ask := func(body string, certificates ...tls.Certificate) (answer, error) {
		c := client("tcp", address)
		c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: server.pool, Certificates: certificates}
		return post(c, "https://treasury.example:"+port+"/jeepay/api/transferOrder", body) // by a name: Caddy checks SNI against Host
	}
	body := func(order, amount string) string {
		return fmt.Sprintf(`{"mchOrderNo":%q,"amount":%q,"account":"x","at":"1"}`, order, amount)
	}
	_, err = ask(body("1", "1"))
	require.Error(t, err, "without a certificate")
	mallory, _, _ := strangers.issue(t, "mallory")
	_, err = ask(body("1", "1"), mallory)
	require.Error(t, err, "with one of another authority")
	anna, _, _ := people.issue(t, "anna")
	bo, _, _ := people.issue(t, "bo")
	for i, test := range []struct {
		who          tls.Certificate
		name, amount string
		reason       string
	}{
		{anna, "CN=anna", "5000000", "sent"}, {anna, "CN=anna", "5000000", "sent"}, {anna, "CN=anna", "5000000", "sent"}, {anna, "CN=anna", "5000000", "sent"},
		{anna, "CN=anna", "0.01", "over_budget"},
		{bo, "CN=bo", "5000000.01", "over_limit"},
		{bo, "CN=bo", "5000000", "sent"}, {bo, "CN=bo", "5000000", "sent"},
		{bo, "CN=bo", "1", "over_budget"}, // both together
	} {
		a, err := ask(body(fmt.Sprint("order", i), test.amount), test.who)
		require.NoError(t, err)
		if test.reason == "sent" {
			assert.NotEqual(t, "not_sent", a.Header.Get("Countersign-Outcome"), a.Body)
		} else {
			assert.Equal(t, test.reason, a.reason(), "%d: %s", i, a.Body)
		}
		entry := s.audit(t, i+1, "exchange")[i]
		assert.Equal(t, test.name, entry["caller"])
	}
	assert.Len(t, p.orders(), 6)
	s.Stop()
	out, err := s.verify(t, filepath.Join(s.Dir, "audit.log"))
	require.NoError(t, err, out)
	assert.Contains(t, out, "checkpoint at")
}

// awaitMode waits until a socket has its mode, which Caddy gives it after it listens.
func awaitMode(s *sidecar, path string, mode os.FileMode) {
	s.Await("the mode of "+filepath.Base(path), func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode().Perm() == mode
	})
}

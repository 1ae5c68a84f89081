package doctor_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/countersign/caddy-countersign/module"
	"github.com/countersign/caddy-countersign/module/command/doctor"
	"github.com/countersign/caddy-countersign/module/keysource"
)

const development = "../../../keys-dev"

// examine adapts and examines a Caddyfile, without asking the network.
func examine(t *testing.T, caddyfile string) []keysource.Finding {
	t.Helper()
	return examineWith(t, caddyfile, doctor.Options{})
}

func examineWith(t *testing.T, caddyfile string, options doctor.Options) []keysource.Finding {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	require.NoError(t, os.WriteFile(file, []byte(caddyfile), 0o600))
	config, err := doctor.Adapt(file, "")
	require.NoError(t, err)
	return doctor.Examine(t.Context(), config, options)
}

// find returns the first finding of a check whose subject holds a text.
func find(t *testing.T, findings []keysource.Finding, check, subject string) keysource.Finding {
	t.Helper()
	for _, f := range findings {
		if f.Check == check && strings.Contains(f.Subject, subject) {
			return f
		}
	}
	t.Fatalf("no finding of %q at %q in %v", check, subject, findings)
	return keysource.Finding{}
}

func failures(findings []keysource.Finding) []string {
	out := []string{}
	for _, f := range findings {
		if f.Status == keysource.Failure {
			out = append(out, f.Check+": "+f.Reason)
		}
	}
	return out
}

const easypayRef = "easypay/ORG000000000007"

// sidecar returns a configuration with one upstream.
func sidecar(dir, upstream, options string) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	countersign {
		keys file %s
	}
}
http://:18080 {
	bind 127.0.0.1
	countersign easypay %s {
		keys %s
		%s
	}
}
`, dir, upstream, easypayRef, options)
}

func TestTheQuickstartHasNoFailure(t *testing.T) {
	t.Chdir("../../..") // where its paths begin
	config, err := doctor.Adapt("caddyfiles/quickstart.Caddyfile", "")
	require.NoError(t, err)
	findings := doctor.Examine(t.Context(), config, doctor.Options{})
	assert.Empty(t, failures(findings))
	assert.NoError(t, doctor.Err(findings))
	assert.Equal(t, keysource.OK, find(t, findings, "admin endpoint", "off").Status)
	assert.Equal(t, keysource.OK, find(t, findings, "persist_config", "").Status)
	assert.Equal(t, keysource.OK, find(t, findings, "key pair", "easypay/ORG000000000007 and provider").Status)
	assert.Equal(t, keysource.Warning, find(t, findings, "key size", "easypay").Status, "RSA-1024")
	hbsk := find(t, findings, "scheme", "hbsk")
	assert.Equal(t, keysource.Warning, hbsk.Status, "the built-in template")
	assert.Contains(t, hbsk.Reason, "not published")
	assert.Contains(t, find(t, findings, "upstream", "127.0.0.1:9090").Reason, "serves it itself")
}

func TestTheAdminEndpoint(t *testing.T) {
	dir := merchant(t, easypayRef)
	server := provider(t, nil)
	base := sidecar(dir, server.Listener.Addr().String(), "")
	for name, test := range map[string]struct {
		with   string
		status keysource.Status
	}{
		"off":                       {"admin off", keysource.OK},
		"a socket for the owner":    {"admin unix//run/countersign/admin.sock|0600", keysource.OK},
		"a socket without a mode":   {"admin unix//run/countersign/admin.sock", keysource.OK},
		"a socket for the group":    {"admin unix//run/countersign/admin.sock|0660", keysource.Failure},
		"a socket for all":          {"admin unix//run/countersign/admin.sock|0666", keysource.Failure},
		"loopback":                  {"admin 127.0.0.1:2019", keysource.Failure},
		"an address of the network": {"admin 0.0.0.0:2019", keysource.Failure},
		"the default":               {"", keysource.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CADDY_ADMIN", "")
			f := find(t, examine(t, strings.Replace(base, "admin off", test.with, 1)), "admin endpoint", "")
			assert.Equal(t, test.status, f.Status, f.Reason)
		})
	}
	f := find(t, examine(t, strings.Replace(base, "persist_config off", "", 1)), "persist_config", "")
	assert.Equal(t, keysource.Warning, f.Status)
}

func TestWhatAConfigurationLeavesOpen(t *testing.T) {
	dir := merchant(t, easypayRef)
	server := provider(t, nil)
	upstream := server.Listener.Addr().String()
	f := find(t, examine(t, sidecar(dir, upstream, "unsigned_responses pass")), "scheme", "easypay")
	assert.Equal(t, keysource.Warning, f.Status)

	open := strings.Replace(sidecar(dir, upstream, ""), "http://:18080 {\n	bind 127.0.0.1", "http://:18080 {", 1)
	f = find(t, examine(t, open), "listener", "easypay")
	assert.Equal(t, keysource.Warning, f.Status)
	assert.Contains(t, f.Reason, ":18080")
}

func TestANotificationHandler(t *testing.T) {
	const reference = "jeepay/M1623997351"
	dir := merchant(t, reference)
	config := fmt.Sprintf(`{
	admin off
	persist_config off
	countersign {
		keys file %s
	}
}
http://:18085 {
	bind 127.0.0.1
	countersign_notify jeepay {
		keys %s
	}
	respond success
}
`, dir, reference)
	findings := examine(t, config)
	assert.Empty(t, failures(findings))
	assert.Equal(t, keysource.OK, find(t, findings, "roles", reference).Status)

	require.NoError(t, os.Remove(filepath.Join(dir, reference, "secret")))
	assert.Contains(t, find(t, examine(t, config), "roles", reference).Reason, "needs the role secret")
}

func TestAConfigurationThatDoesNotLoad(t *testing.T) {
	for name, test := range map[string]struct{ json, reason string }{
		"no configuration":        {`[]`, "not a configuration of Caddy"},
		"an unknown module":       {`{"apps":{"nonsense":{}}}`, "it does not load"},
		"nothing of countersign":  {`{"apps":{"http":{}}}`, "nothing in it is of countersign"},
		"a source without folder": {`{"apps":{"countersign":{"keys":[{"source":"file"}]}}}`, "it does not load"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := doctor.Examine(t.Context(), []byte(test.json), doctor.Options{})
			f := find(t, findings, "configuration", "")
			assert.Equal(t, keysource.Failure, f.Status)
			assert.Contains(t, f.Reason, test.reason)
			assert.Error(t, doctor.Err(findings))
		})
	}
}

func TestAdapt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	for _, name := range []string{"Caddyfile", "Caddyfile.prod", "sidecar.Caddyfile"} {
		adapted, err := doctor.Adapt(write(name, ":80\n"), "")
		require.NoError(t, err, name)
		assert.True(t, json.Valid(adapted))
	}
	adapted, err := doctor.Adapt(write("caddyfile.json", `{"admin":{}}`), "")
	require.NoError(t, err)
	assert.Equal(t, `{"admin":{}}`, string(adapted))
	_, err = doctor.Adapt(write("sidecar.conf", ":80\n"), "caddyfile")
	assert.NoError(t, err)
	_, err = doctor.Adapt(write("sidecar.conf", ":80\n"), "")
	assert.ErrorContains(t, err, "--adapter")
	_, err = doctor.Adapt(write("sidecar.conf", ":80\n"), "yaml")
	assert.ErrorContains(t, err, `unknown adapter "yaml"`)
	_, err = doctor.Adapt(filepath.Join(dir, "nowhere"), "")
	assert.ErrorContains(t, err, "reading the configuration")
	_, err = doctor.Adapt(write("Caddyfile", "nonsense {\n"), "")
	assert.ErrorContains(t, err, "adapting")
}

// No finding holds key material, whatever fails.
func TestNoFindingHoldsASecret(t *testing.T) {
	const reference = "hkrt/405544499f016a9b3d8f57000f"
	dir := merchant(t, reference)
	secret, err := os.ReadFile(filepath.Join(dir, reference, "secret"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, reference, "sign.pem"), secret, 0o666))
	server := provider(t, nil)
	config := strings.NewReplacer("countersign easypay", "countersign hkrt", easypayRef, reference).Replace(sidecar(dir, server.Listener.Addr().String(), ""))
	findings := examine(t, config)
	assert.Equal(t, keysource.Warning, find(t, findings, "key file", reference+" sign").Status)
	text, err := json.Marshal(findings)
	require.NoError(t, err)
	assert.NotContains(t, string(text), strings.TrimSpace(string(secret)))
}

// Nothing beyond this machine is asked, unless that is wanted. The addresses are
// of a network that is for documentation alone.
func TestOfflineByDefault(t *testing.T) {
	dir := merchant(t, easypayRef)
	start := time.Now()
	findings := examine(t, sidecar(dir, "https://192.0.2.7:6111", ""))
	f := find(t, findings, "upstream", "192.0.2.7")
	assert.Equal(t, keysource.OK, f.Status)
	assert.Contains(t, f.Reason, "--online")

	vault := strings.Replace(sidecar(dir, "https://192.0.2.7:6111", ""), "keys file "+dir, "keys vault https://192.0.2.8:8200 {\n\t\t\tkv payments\n\t\t\tauth token_file /dev/null\n\t\t}", 1)
	f = find(t, examine(t, vault), "key source", "vault")
	assert.Contains(t, f.Reason, "--online")
	assert.Less(t, time.Since(start), 5*time.Second)
}

// A wrong path or another host name must not look like a payment.
func TestWhatNoRouteTakes(t *testing.T) {
	whole := strings.Replace(sidecar(merchant(t, easypayRef), "127.0.0.1:18099", ""), "countersign easypay", "handle_path /easypay/* {\n\tcountersign easypay", 1)
	whole = strings.TrimSuffix(whole, "}\n") + "}\n"
	f := find(t, examine(t, whole+"}\n"), "routes", ":18080")
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Reason, "POST made-up.invalid/made-up-by-countersign: ")
	assert.Contains(t, f.Advice, "countersign_problem unknown_route")

	f = find(t, examine(t, whole+"handle {\n\tcountersign_problem unknown_route\n}\n}\n"), "routes", "")
	assert.Equal(t, keysource.OK, f.Status)

	named := strings.Replace(whole, "http://:18080", "http://localhost:18080", 1)
	f = find(t, examine(t, named+"handle {\n\tcountersign_problem unknown_route\n}\n}\n"), "routes", ":18080")
	assert.Equal(t, keysource.Failure, f.Status, "another host")
}

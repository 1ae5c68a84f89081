package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

var (
	shell   = regexp.MustCompile("(?s)```sh\n(.*?)```")
	refusal = regexp.MustCompile(`  # (?:refused: |拒绝：)(.*)$`)
	shown   = regexp.MustCompile(`RSA 2048 bits.* fingerprint ([0-9a-f]{64})`)
)

// The commands of the chapter on key files make what it says, and keys import takes
// it, always as the same key, or refuses it in the words of the page.
func TestTheFormsOfKeys(t *testing.T) {
	if out, err := exec.Command("openssl", "version").Output(); err != nil || !strings.HasPrefix(string(out), "OpenSSL 3") {
		t.Skip("OpenSSL 3 is not on PATH: install it to make keys in each form")
	}
	commands := map[string][]string{}
	for _, page := range []string{"FORMS.md", "FORMS.zh-CN.md"} {
		text, err := os.ReadFile(filepath.Join(process.Repository, "module", "keys", page))
		require.NoError(t, err)
		for _, block := range shell.FindAllStringSubmatch(string(text), -1) {
			commands[page] = append(commands[page], strings.Split(strings.TrimSpace(block[1]), "\n")...)
		}
		require.NotEmpty(t, commands[page])
	}
	english, chinese := commands["FORMS.md"], commands["FORMS.zh-CN.md"]
	require.Len(t, chinese, len(english))

	_, err := exec.LookPath("keytool")
	java := err == nil
	c := newCheckout(t)
	run := func(command, language string) (string, error) {
		cmd := c.shell(command)
		cmd.Env = append(os.Environ(), "LC_ALL="+language)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	fingerprints := map[string]int{}
	for i, line := range english {
		if !java && (strings.Contains(line, "keytool") || strings.Contains(line, ".jks") || strings.Contains(line, ".jceks")) {
			continue
		}
		command := refusal.ReplaceAllString(line, "")
		assert.Equal(t, command, refusal.ReplaceAllString(chinese[i], ""))
		out, err := run(command, "C")
		words := refusal.FindStringSubmatch(line)
		if words == nil {
			require.NoError(t, err, "%s: %s", command, out)
			for _, found := range shown.FindAllStringSubmatch(out, -1) {
				fingerprints[found[1]]++
			}
			continue
		}
		assert.Error(t, err, command)
		assert.Contains(t, out, words[1], command)
		out, err = run(command, "zh_CN.UTF-8")
		assert.Error(t, err, command)
		assert.Contains(t, out, refusal.FindStringSubmatch(chinese[i])[1], command)
	}
	assert.Len(t, fingerprints, 1, "one key in many forms")
	_, err = os.Stat(filepath.Join(c.dir, "keys", "no"))
	assert.ErrorIs(t, err, os.ErrNotExist, "what is refused is not written")
}

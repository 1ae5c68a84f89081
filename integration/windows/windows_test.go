// Package windows_test holds what the chapter on Windows says against what lies beside
// it. That the binary runs as a service there, CI shows on a Windows machine.
package windows_test

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

func TestMain(m *testing.M) { process.Main(m) }

func text(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}

// The Caddyfile adapts, as it is and with the socket of its comment, and has the paths
// of the chapter.
func TestTheCaddyfileAdapts(t *testing.T) {
	caddyfile := text(t, "Caddyfile")
	comment := "http:// {\n\tbind unix/C:/ProgramData/countersign/run/pay.sock\n"
	assert.Contains(t, strings.ReplaceAll(caddyfile, "#\t", ""), comment)
	for name, content := range map[string]string{
		"port":   caddyfile,
		"socket": strings.Replace(caddyfile, ":8080 {\n\tbind 127.0.0.1\n", comment, 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := process.Folder(t)
			require.NoError(t, os.WriteFile(dir+"/Caddyfile", []byte(content), 0o600))
			out, err := process.Command(t, dir, "adapt", "--config", dir+"/Caddyfile").Output()
			require.NoError(t, err)
			require.True(t, json.Valid(out))
			assert.Contains(t, string(out), `"C:/ProgramData/countersign/keys"`)
			assert.Contains(t, string(out), map[string]string{"port": `"listen":["127.0.0.1:8080"]`, "socket": `"listen":["unix/C:/ProgramData/countersign/run/pay.sock"]`}[name])
		})
	}
}

// The service of WinSW runs the command that sc.exe and NSSM run, in the same
// environment, as the same account.
func TestTheServicesAreOne(t *testing.T) {
	var service struct {
		ID         string `xml:"id"`
		Executable string `xml:"executable"`
		Arguments  string `xml:"arguments"`
		Account    string `xml:"serviceaccount>username"`
		Env        []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:"value,attr"`
		} `xml:"env"`
	}
	require.NoError(t, xml.Unmarshal([]byte(text(t, "countersign.xml")), &service))
	for _, page := range []string{"README.md", "README.zh-CN.md"} {
		chapter := text(t, page)
		assert.Contains(t, chapter, `sc.exe create `+service.ID+` start= auto obj= "`+service.Account+`" binPath= "\"`+service.Executable+`\" `+service.Arguments+`"`)
		assert.Contains(t, chapter, `nssm install `+service.ID+` "`+service.Executable+`" `+service.Arguments)
		var nssm, registry []string
		for _, e := range service.Env {
			nssm = append(nssm, e.Name+"="+e.Value)
			registry = append(registry, e.Name+"="+e.Value)
		}
		assert.Contains(t, chapter, "AppEnvironmentExtra "+strings.Join(nssm, " "))
		assert.Contains(t, chapter, "/d "+strings.Join(registry, `\0`))
	}
}

var block = regexp.MustCompile("(?s)```(?:bat|powershell)\n(.*?)```")

// Both languages have the same commands.
func TestBothLanguagesHaveTheSameCommands(t *testing.T) {
	commands := func(page string) (all []string) {
		for _, found := range block.FindAllStringSubmatch(text(t, page), -1) {
			all = append(all, strings.ReplaceAll(found[1], " --lang zh", ""))
		}
		return all
	}
	english := commands("README.md")
	require.NotEmpty(t, english)
	assert.Equal(t, english, commands("README.zh-CN.md"))
}

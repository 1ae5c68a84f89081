package examples_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// header returns the commands in the comment at the top of a Caddyfile: the lines that
// are set in, a continued one joined.
func header(text string) []string {
	var commands []string
	continued := false
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		command := strings.TrimSpace(comment)
		switch {
		case continued:
			commands[len(commands)-1] += " " + command
		case strings.HasPrefix(comment, "   "), strings.HasPrefix(comment, "\t"):
			commands = append(commands, command)
		default:
			continue
		}
		last := &commands[len(commands)-1]
		*last, continued = strings.CutSuffix(*last, `\`)
	}
	return commands
}

// checkout is a copy of what the commands of a header need, with ports that are
// free and temporary files of its own.
type checkout struct {
	*testing.T
	dir   string
	ports map[string]string
}

var port = regexp.MustCompile(`:[89]\d{3}\b`)

func newCheckout(t *testing.T) *checkout {
	t.Helper()
	c := &checkout{t, process.Folder(t), make(map[string]string)}
	for _, folder := range []string{"caddyfiles", "keys-dev"} {
		require.NoError(t, os.CopyFS(filepath.Join(c.dir, folder), os.DirFS(filepath.Join(process.Repository, folder))))
	}
	caddy := process.Command(t, c.dir)
	script := fmt.Sprintf("#!/bin/sh\nexec env %s %s \"$@\"\n", strings.Join(caddy.Env, " "), caddy.Path)
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "caddy"), []byte(script), 0o700))
	return c
}

// moved returns a text with the ports and temporary files of this copy.
func (c *checkout) moved(text string) string {
	text = port.ReplaceAllStringFunc(text, func(p string) string {
		if c.ports[p] == "" {
			c.ports[p] = ":" + networktest.Port(c)
		}
		return c.ports[p]
	})
	return strings.ReplaceAll(text, "/tmp/", c.dir+"/")
}

// shell returns a shell in the copy.
func (c *checkout) shell(commands ...string) *exec.Cmd {
	cmd := exec.Command("sh", "-euc", strings.Join(commands, "\n"))
	cmd.Dir = c.dir
	return cmd
}

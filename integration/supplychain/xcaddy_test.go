package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkout is a copy of xcaddy.sh in a directory whose name needs quotes, with
// commands of the same names as the real ones that write down how they are
// called. What `go version -m` says of a binary is the binary's own text.
type checkout struct {
	root, bin, caller string
}

const fakeGo = `#!/bin/sh
case "$*" in
"env GOOS") echo "${FAKE_OS:-linux}" ;;
"env CC") echo "${FAKE_CC:-compiler -x}" ;;
"list -m"*) echo v2.99.0 ;;
"version -m"*) cat "$3" ;;
*)
	printf 'go CGO_ENABLED=%s GOEXPERIMENT=%s\n' "$CGO_ENABLED" "$GOEXPERIMENT"
	printf '<%s>\n' "$PWD" "$@"
	while [ "$1" != -o ]; do shift; done
	printf '#!/bin/sh\nprintf "caddy\\n"; printf "<%%s>\\n" "$PWD" "$@"\n# path\tgithub.com/countersign/caddy-countersign/module/cmd/caddy\n' >"$2"
	chmod +x "$2"
	;;
esac
`

// fakeCompiler preprocesses any header that is not told to be missing.
const fakeCompiler = `#!/bin/sh
[ "$*" = "-x -E -" ] && ! grep -q "${FAKE_MISSING:-nothing}"
`

const fakeXcaddy = `#!/bin/sh
printf 'xcaddy CADDY_VERSION=%s\n' "$CADDY_VERSION"
if [ -n "$XCADDY_GO_BUILD_FLAGS" ]; then
	printf 'CGO_ENABLED=%s\n' "$CGO_ENABLED"
	eval "printf '[%s]\n' $XCADDY_GO_BUILD_FLAGS"
fi
printf '<%s>\n' "$PWD" "$@"
`

func newCheckout(t *testing.T) checkout {
	t.Helper()
	dir := t.TempDir()
	c := checkout{root: filepath.Join(dir, "it's a checkout"), bin: filepath.Join(dir, "bin"), caller: filepath.Join(dir, "caller")}
	script, err := os.ReadFile("../../xcaddy.sh")
	require.NoError(t, err)
	c.write(t, filepath.Join(c.root, "xcaddy.sh"), string(script))
	c.write(t, filepath.Join(c.bin, "go"), fakeGo)
	c.write(t, filepath.Join(c.bin, "compiler"), fakeCompiler)
	c.write(t, filepath.Join(c.root, "caddyfiles", "quickstart.Caddyfile"),
		":8080 {\n\thandle_path /easypay/* {\n\t}\n}\n:9090 {\n\tcountersign_sandbox easypay\n}\n")
	require.NoError(t, os.Mkdir(c.caller, 0o700))
	// Nothing else is on PATH: a real xcaddy must not be found.
	for _, tool := range []string{"sh", "dirname", "grep", "sed", "cat", "chmod"} {
		path, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(c.bin, tool)))
	}
	return c
}

func (c checkout) write(t *testing.T, file, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o700))
}

// run calls xcaddy.sh from the caller's directory.
func (c checkout) run(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(c.root, "xcaddy.sh"), args...)
	cmd.Dir = c.caller
	cmd.Env = append([]string{"PATH=" + c.bin}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		return out.String(), errs.String(), exit.ExitCode()
	}
	return out.String(), errs.String(), 0
}

func TestBuildPinned(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		output func(checkout) string
		first  string
		tags   string
	}{
		{"plain", nil, func(c checkout) string { return filepath.Join(c.root, "caddy") }, "go CGO_ENABLED=0 GOEXPERIMENT=\n", "nobadger,nomysql,nopgx"},
		{"to a file of the caller", []string{"-o", "mine"}, func(c checkout) string { return filepath.Join(c.caller, "mine") }, "go CGO_ENABLED=0 GOEXPERIMENT=\n", "nobadger,nomysql,nopgx"},
		{"fast RSA", []string{"--fast-rsa", "--output=mine"}, func(c checkout) string { return filepath.Join(c.caller, "mine") }, "go CGO_ENABLED=1 GOEXPERIMENT=\n", "nobadger,nomysql,nopgx,fastrsa"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			// A flavour in the environment has no say.
			out, stderr, code := c.run(t, []string{"CGO_ENABLED=", "GOEXPERIMENT=other"}, append([]string{"build"}, test.args...)...)
			require.Zero(t, code, stderr)
			assert.True(t, strings.HasPrefix(out, test.first), out)
			for _, part := range []string{"<" + c.root + ">", "<-mod=readonly>", "<-trimpath>", "<-buildvcs=false>", "<-ldflags=-s -w -buildid=>", "<-tags=" + test.tags + ">", "<-o>\n<" + test.output(c) + ">", "<./module/cmd/caddy>"} {
				assert.Contains(t, out, part+"\n")
			}
		})
	}
}

func TestBuildWithPlugins(t *testing.T) {
	c := newCheckout(t)
	out, stderr, code := c.run(t, nil, "build", "--with", "example.com/plugin=./mine")
	assert.Equal(t, 1, code)
	assert.Empty(t, out)
	assert.Contains(t, stderr, "go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest")

	c.write(t, filepath.Join(c.bin, "xcaddy"), fakeXcaddy)
	out, stderr, code = c.run(t, nil, "build", "--with", "example.com/plugin=./mine", "-o", "out", "--embed", "a b")
	require.Zero(t, code, stderr)
	assert.Equal(t, strings.Join([]string{
		"xcaddy CADDY_VERSION=v2.99.0",
		"<" + c.caller + ">", "<build>",
		"<--with>", "<example.com/plugin=./mine>", "<--embed>", "<a b>",
		"<--with>", "<github.com/countersign/caddy-countersign/module>",
		"<--replace>", "<github.com/countersign/caddy-countersign=" + c.root + ">",
		"<--output>", "<" + filepath.Join(c.caller, "out") + ">", "",
	}, "\n"), out)

	out, stderr, code = c.run(t, nil, "build", "--fast-rsa", "--with", "example.com/plugin")
	require.Zero(t, code, stderr)
	assert.Contains(t, out, "\nCGO_ENABLED=1\n[-trimpath]\n[-ldflags=-s -w]\n[-tags=nobadger,nomysql,nopgx,fastrsa]\n<")
	out, stderr, code = c.run(t, []string{"XCADDY_GO_BUILD_FLAGS=-race -tags=fastrsa,mine"}, "build", "--fast-rsa", "--with", "example.com/plugin")
	require.Zero(t, code, stderr)
	assert.Contains(t, out, "[-race]\n[-tags=fastrsa,mine]\n")
	out, stderr, code = c.run(t, []string{"XCADDY_GO_BUILD_FLAGS=-race"}, "build", "--fast-rsa", "--with", "example.com/plugin")
	assert.Equal(t, 1, code)
	assert.Empty(t, out)
	assert.Contains(t, stderr, "lack fastrsa")

	out, _, code = c.run(t, []string{"CADDY_VERSION=v2.98.0"}, "build", "--with", "example.com/plugin")
	require.Zero(t, code)
	assert.Contains(t, out, "CADDY_VERSION=v2.98.0")
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"system", []string{"FAKE_OS=plan9"}, "plan9"},
		{"compiler", []string{"FAKE_CC=no-such-compiler -x"}, "no-such-compiler"},
		{"headers", []string{"FAKE_MISSING=openssl/evp.h"}, "libssl-dev"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, stderr, code := newCheckout(t).run(t, test.env, "build", "--fast-rsa")
			assert.Equal(t, 1, code)
			assert.Empty(t, out)
			assert.Contains(t, stderr, test.want)
		})
	}
}

func TestRun(t *testing.T) {
	c := newCheckout(t)
	out, stderr, code := c.run(t, nil, "run")
	require.Zero(t, code, stderr)
	assert.Contains(t, out, "\ncaddy\n<"+c.root+">\n<run>\n<--config>\n<caddyfiles/quickstart.Caddyfile>\n<--adapter>\n<caddyfile>\n")

	// The line to try is one that a shell understands, alone on its line.
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "curl ") {
			lines = append(lines, line)
		}
	}
	require.Len(t, lines, 1)
	words, err := exec.CommandContext(t.Context(), "sh", "-c", `curl() { printf '%s\n' "$@"; }; `+lines[0]).Output()
	require.NoError(t, err)
	assert.Equal(t, []string{
		"-sS", "-H", "Content-Type: application/json",
		"--data-binary", "@" + c.root + "/caddyfiles/samples/easypay.json",
		"http://127.0.0.1:8080/easypay/ledger/mpos",
	}, strings.Split(strings.TrimSuffix(string(words), "\n"), "\n"))
}

func TestRunOwnCaddyfile(t *testing.T) {
	c := newCheckout(t)
	c.write(t, filepath.Join(c.caller, "Caddyfile"), ":8080 {\n\trespond ok\n}\n")
	out, stderr, code := c.run(t, nil, "run", "Caddyfile")
	require.Zero(t, code, stderr)
	assert.NotContains(t, out, "curl", "it serves no sandbox")
	assert.Contains(t, out, "<--config>\n<"+filepath.Join(c.caller, "Caddyfile")+">\n")

	_, stderr, code = c.run(t, nil, "run", "missing")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, filepath.Join(c.caller, "missing"))
}

// What `build` made stays what it is.
func TestRunKeepsTheFlavour(t *testing.T) {
	binary := "#!/bin/sh\nprintf 'caddy of before\\n'\n"
	tests := []struct {
		name, binary, want string
	}{
		{"pinned", binary + "# path\tgithub.com/countersign/caddy-countersign/module/cmd/caddy\n", "go CGO_ENABLED=0"},
		{"fast RSA", binary + "# path\tgithub.com/countersign/caddy-countersign/module/cmd/caddy\n# build\t-tags=nobadger,fastrsa\n", "<-tags=nobadger,nomysql,nopgx,fastrsa>"},
		{"plugins", binary + "# path\tcaddy\n", "caddy of before"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			c.write(t, filepath.Join(c.root, "caddy"), test.binary)
			out, stderr, code := c.run(t, nil, "run")
			require.Zero(t, code, stderr)
			assert.Contains(t, out, test.want)
			assert.Equal(t, test.name == "plugins", strings.Contains(out, "caddy of before"))
		})
	}
}

func TestMisuse(t *testing.T) {
	c := newCheckout(t)
	for _, args := range [][]string{{}, {"start"}, {"build", "-o"}, {"run", "one", "two"}} {
		out, stderr, code := c.run(t, nil, args...)
		assert.Equal(t, 2, code, args)
		assert.Empty(t, out, args)
		assert.Contains(t, stderr, "usage:", args)
	}
	out, _, code := c.run(t, nil, "help")
	assert.Zero(t, code)
	assert.Contains(t, out, "usage:")
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
"env GOOS") echo "${GOOS:-${FAKE_OS:-linux}}" ;;
"env CC") echo "${FAKE_CC:-compiler -x}" ;;
"env GOPROXY") echo https://proxy.example ;;
"env GOVERSION") echo "${FAKE_OLD:-go1.99.0}" ;;
"list -m") [ -z "$FAKE_OLD$FAKE_BROKEN" ] || { echo "go: $FAKE_BROKEN" >&2; exit 1; } ;;
"list -m "*) echo v2.99.0 ;;
"list -mod="*) [ -z "$FAKE_OFFLINE" ] || { echo "$FAKE_OFFLINE"; exit 1; } ;;
"version -m"*) cat "$3" ;;
"mod edit "*) printf '<%s>\n' "$@" ;;
*)
	printf 'go CGO_ENABLED=%s GOEXPERIMENT=%s\n' "$CGO_ENABLED" "$GOEXPERIMENT"
	printf '<%s>\n' "${PWD%.*}" "$@"
	while [ "$1" != -o ]; do shift; done
	cp "$(dirname "$0")/built" "$2"
	;;
esac
`

// builtCaddy stands for the Caddy that is built. It says how it is called, and
// serves, which is to say that curl finds it, until the file "stop" is there.
const builtCaddy = `#!/bin/sh
if [ "$1" = adapt ]; then
	echo '{"apps":{"http":{"servers":{"srv0":{"listen":["127.0.0.1:8080"],"routes":[{"dial":"127.0.0.1:9090"}]},"srv1":{"listen":[":8081"]}}}}}'
	exit
fi
echo caddy
printf '<%s>\n' "$PWD" "$@"
touch serving
while [ ! -e stop ]; do sleep 0.1; done
# path	caddy-countersign
`

// fakeCurl connects to what runs in the checkout, and to what $FAKE_TAKEN names.
const fakeCurl = `#!/bin/sh
for url; do :; done
case $url in
*"${FAKE_TAKEN:-nothing}"*) exit 0 ;;
esac
[ -e serving ] || exit 7
`

// fakeCompiler is there, which is all that is asked of it.
const fakeCompiler = `#!/bin/sh
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
	c.write(t, filepath.Join(c.bin, "built"), builtCaddy)
	c.write(t, filepath.Join(c.bin, "curl"), fakeCurl)
	c.write(t, filepath.Join(c.bin, "compiler"), fakeCompiler)
	c.write(t, filepath.Join(c.root, "go.mod"), "module github.com/countersign/caddy-countersign\n\ngo 1.99.0\n")
	c.write(t, filepath.Join(c.root, "go.sum"), "")
	c.write(t, filepath.Join(c.root, "module", "cmd", "caddy", "main.go"), "package main\n")
	c.write(t, filepath.Join(c.root, "caddyfiles", "quickstart.Caddyfile"),
		":8080 {\n\thandle_path /easypay/* {\n\t}\n}\n:9090 {\n\tcountersign_sandbox easypay\n}\n")
	require.NoError(t, os.Mkdir(c.caller, 0o700))
	// Nothing else is on PATH: a real xcaddy must not be found.
	for _, tool := range []string{"sh", "dirname", "grep", "sed", "cat", "chmod", "cp", "rm", "mktemp", "tr", "sleep", "touch"} {
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

const versionFlag = "-X github.com/caddyserver/caddy/v2.CustomVersion=caddy-countersign@v1.2.3"

func TestBuildPinned(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		output func(checkout) string
		cgo    string
		tags   string
	}{
		{"plain", nil, func(c checkout) string { return filepath.Join(c.root, "caddy") }, "0", "nobadger,nomysql,nopgx"},
		{"to a file of the caller", []string{"-o", "mine"}, func(c checkout) string { return filepath.Join(c.caller, "mine") }, "0", "nobadger,nomysql,nopgx"},
		{"fast RSA", []string{"--fast-rsa", "--output=mine"}, func(c checkout) string { return filepath.Join(c.caller, "mine") }, "1", "nobadger,nomysql,nopgx,fastrsa"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			// A flavour in the environment has no say.
			out, stderr, code := c.run(t, []string{"CGO_ENABLED=", "GOEXPERIMENT=other", "COUNTERSIGN_VERSION=1.2.3"}, append([]string{"build"}, test.args...)...)
			require.Zero(t, code, stderr)
			for _, part := range []string{
				"<-require=github.com/countersign/caddy-countersign@v1.2.3>", "<-replace=github.com/countersign/caddy-countersign=..>",
				"go CGO_ENABLED=" + test.cgo + " GOEXPERIMENT=\n<" + c.root + "/.xcaddy>", "<-mod=readonly>", "<-trimpath>", "<-buildvcs=false>",
				"<-ldflags=-s -w -buildid= " + versionFlag + ">", "<-tags=" + test.tags + ">", "<-o>\n<" + test.output(c) + ">",
			} {
				assert.Contains(t, out, part+"\n")
			}
			left, err := filepath.Glob(filepath.Join(c.root, ".xcaddy*"))
			require.NoError(t, err)
			assert.Empty(t, left)
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
	version := []string{"COUNTERSIGN_VERSION=v1.2.3"}
	out, stderr, code = c.run(t, version, "build", "--with", "example.com/plugin=./mine", "-o", "out", "--embed", "a b")
	require.Zero(t, code, stderr)
	assert.Equal(t, strings.Join([]string{
		"xcaddy CADDY_VERSION=v2.99.0",
		"CGO_ENABLED=", "[-trimpath]", "[-ldflags=-s -w " + versionFlag + "]", "[-tags=nobadger,nomysql,nopgx]",
		"<" + c.caller + ">", "<build>",
		"<--with>", "<example.com/plugin=./mine>", "<--embed>", "<a b>",
		"<--with>", "<github.com/countersign/caddy-countersign/module>",
		"<--replace>", "<github.com/countersign/caddy-countersign=" + c.root + ">",
		"<--output>", "<" + filepath.Join(c.caller, "out") + ">", "",
	}, "\n"), out)

	out, stderr, code = c.run(t, version, "build", "--fast-rsa", "--with", "example.com/plugin")
	require.Zero(t, code, stderr)
	assert.Contains(t, out, "\nCGO_ENABLED=1\n[-trimpath]\n[-ldflags=-s -w "+versionFlag+"]\n[-tags=nobadger,nomysql,nopgx,fastrsa]\n<")
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
		name, flag string
		env        []string
		want       []string
	}{
		{"system", "--fast-rsa", []string{"FAKE_OS=plan9"}, []string{"plan9"}},
		{"compiler", "--fast-rsa", []string{"FAKE_CC=no-such-compiler -x"}, []string{"no-such-compiler", "apt-get install gcc"}},
		{"old Go", "-o=mine", []string{"FAKE_OLD=go1.21.3"}, []string{"go1.21.3", "Go 1.99.0", "/dl/", "go env -w GOTOOLCHAIN=auto GOPROXY=https://goproxy.cn,direct"}},
		{"Go that fetches no toolchain", "-o=mine", []string{"FAKE_OLD=go1.20rc1"}, []string{"go1.20rc1", "Go 1.99.0", "/dl/"}},
		{"proxy", "-o=mine", []string{"FAKE_OFFLINE=dial tcp: lookup proxy.example: no such host"}, []string{"https://proxy.example", "go env -w GOPROXY=https://goproxy.cn,direct"}},
	}
	for _, test := range tests {
		for _, language := range []string{"en_GB.UTF-8", "zh_CN.UTF-8"} {
			t.Run(test.name+" in "+language, func(t *testing.T) {
				out, stderr, code := newCheckout(t).run(t, append(test.env, "LANG="+language), "build", test.flag)
				assert.Equal(t, 1, code)
				assert.NotContains(t, out, "CGO_ENABLED", "nothing is built")
				lines := strings.Split(strings.TrimSpace(stderr), "\n")
				said := lines[len(lines)-1]
				for _, want := range test.want {
					assert.Contains(t, said, want)
				}
				assert.Equal(t, language[:2] == "zh", regexp.MustCompile(`\p{Han}`).MatchString(said), said)
			})
		}
	}
	t.Run("old Go says only what it can do", func(t *testing.T) {
		_, stderr, code := newCheckout(t).run(t, []string{"FAKE_OLD=go1.20.4"}, "build")
		assert.Equal(t, 1, code)
		assert.NotContains(t, stderr, "GOTOOLCHAIN")
	})
	t.Run("Go that is new and fails", func(t *testing.T) {
		_, stderr, code := newCheckout(t).run(t, []string{"FAKE_BROKEN=parsing $GOFLAGS"}, "build")
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, "go: parsing $GOFLAGS\n")
		assert.NotContains(t, stderr, "too old")
	})
	t.Run("no Go", func(t *testing.T) {
		c := newCheckout(t)
		require.NoError(t, os.Remove(filepath.Join(c.bin, "go")))
		_, stderr, code := c.run(t, nil, "build")
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, "https://go.dev/dl/")
	})
}

// stopAfter ends what builtCaddy serves when there was time to print the request.
func (c checkout) stopAfter(t *testing.T, d time.Duration) {
	time.AfterFunc(d, func() { _ = os.WriteFile(filepath.Join(c.root, "stop"), nil, 0o600) })
}

func TestRun(t *testing.T) {
	c := newCheckout(t)
	c.stopAfter(t, 4*time.Second)
	out, stderr, code := c.run(t, nil, "run")
	require.Zero(t, code, stderr)
	started := "\ncaddy\n<" + c.root + ">\n<run>\n<--config>\n<caddyfiles/quickstart.Caddyfile>\n<--adapter>\n<caddyfile>\n"
	require.Contains(t, out, started)

	// The line to try comes when Caddy serves, and nothing after it. A shell
	// understands it.
	lines := strings.Split(strings.TrimSpace(out[strings.Index(out, started)+len(started):]), "\n")
	line := lines[len(lines)-1]
	require.True(t, strings.HasPrefix(line, "curl "), out)
	words, err := exec.CommandContext(t.Context(), "sh", "-c", `curl() { printf '%s\n' "$@"; }; `+line).Output()
	require.NoError(t, err)
	assert.Equal(t, []string{
		"-i", "-sS", "-H", "Content-Type: application/json",
		"--data-binary", "@" + c.root + "/caddyfiles/samples/easypay.json",
		"http://127.0.0.1:8080/easypay/ledger/mpos",
	}, strings.Split(strings.TrimSuffix(string(words), "\n"), "\n"))
}

func TestRunSaysThatAPortIsTaken(t *testing.T) {
	for language, want := range map[string]string{"C": "is taken", "zh_CN.UTF-8": "已被其他程序占用"} {
		c := newCheckout(t)
		out, stderr, code := c.run(t, []string{"LANG=" + language, "FAKE_TAKEN=:8081/"}, "run")
		assert.Equal(t, 1, code)
		assert.NotContains(t, out, "\ncaddy\n")
		assert.Contains(t, stderr, "127.0.0.1:8081 "+want)
	}
	// A provider that the Caddyfile only connects to may well be there.
	c := newCheckout(t)
	c.stopAfter(t, 0)
	_, stderr, code := c.run(t, []string{"FAKE_TAKEN=:9090/"}, "run")
	assert.Zero(t, code, stderr)
}

func TestRunOwnCaddyfile(t *testing.T) {
	c := newCheckout(t)
	c.stopAfter(t, 3*time.Second)
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
		{"pinned", binary + "# path\tcaddy-countersign\n", "go CGO_ENABLED=0"},
		{"fast RSA", binary + "# path\tcaddy-countersign\n# build\t-tags=nobadger,fastrsa\n", "<-tags=nobadger,nomysql,nopgx,fastrsa>"},
		{"plugins", binary + "# path\tcaddy\n", "caddy of before"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCheckout(t)
			c.write(t, filepath.Join(c.root, "caddy"), test.binary)
			c.stopAfter(t, 0)
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
}

func TestHelp(t *testing.T) {
	c := newCheckout(t)
	for _, args := range [][]string{{"help"}, {"-h"}, {"run", "-h"}, {"test", "--help"}, {"build", "-h"}, {"image", "-h"}, {"package", "--help"}} {
		for language, want := range map[string]string{"C": "usage:", "zh_CN.UTF-8": "用法："} {
			out, stderr, code := c.run(t, []string{"LANG=" + language}, args...)
			assert.Zero(t, code, args)
			assert.Empty(t, stderr, args)
			assert.True(t, strings.HasPrefix(out, want), "%v: %s", args, out)
			for _, command := range []string{"run", "build", "test", "image", "package"} {
				assert.Contains(t, out, "\n  ./xcaddy.sh "+command+" ", args)
			}
		}
	}
}

func TestImagesAndPackagesAreForLinux(t *testing.T) {
	for language, want := range map[string]string{"C": "are for Linux, and GOOS is windows", "zh_CN.UTF-8": "只用于 Linux"} {
		for _, command := range []string{"image", "package"} {
			out, stderr, code := newCheckout(t).run(t, []string{"LANG=" + language, "GOOS=windows"}, command)
			assert.Equal(t, 1, code)
			assert.Contains(t, stderr, want)
			assert.NotContains(t, out, "build", "nothing was compiled")
		}
	}
}

package check

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const repository = "../../.."

func dockerfile(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	return text
}

func TestTheDockerfileTranslatesWithoutAWarning(t *testing.T) {
	require.NoError(t, LintImage(dockerfile(t)))
}

func TestTheImageHoldsNoMoreThanItNeeds(t *testing.T) {
	image, err := ReadImage(dockerfile(t), map[string]string{"VERSION": "1.2.3", "REVISION": "abc"})
	require.NoError(t, err)

	assert.Equal(t, "65532:65532", image.Config.User, "a number: runAsNonRoot cannot look up a name")
	assert.Equal(t, []string{"/usr/bin/caddy"}, image.Config.Entrypoint)
	assert.Equal(t, []string{"run", "--config", "/etc/countersign/Caddyfile"}, image.Config.Cmd)
	assert.NotContains(t, image.Config.ExposedPorts, "8180/tcp", "whoever reaches that port has payments signed")
	assert.Empty(t, image.Config.Volumes)

	labels := image.Config.Labels
	assert.Equal(t, "1.2.3", labels["org.opencontainers.image.version"])
	assert.Equal(t, "abc", labels["org.opencontainers.image.revision"])
	assert.Equal(t, "Apache-2.0", labels["org.opencontainers.image.licenses"])

	text := string(dockerfile(t))
	last := text[strings.LastIndex(text, "\nFROM "):]
	assert.True(t, strings.HasPrefix(last, "\nFROM scratch\n"), "no shell in the runtime stage")
	assert.NotContains(t, last, "\nRUN ")
}

// Errors planted in the Dockerfile are found, each by what finds it in a build.
func TestErrorsInTheDockerfileAreFound(t *testing.T) {
	for name, plant := range map[string]struct{ old, new, found string }{
		"unknown instruction":  {"WORKDIR /src", "WORKDIRR /src", "unknown instruction"},
		"unknown stage":        {"--from=builder /out", "--from=biulder /out", "biulder"},
		"unknown flag":         {"COPY go.mod", "COPY --chwon=1 go.mod", "unknown flag"},
		"undefined argument":   {"golang:${GO_VERSION}", "golang:${GO_VERSOIN}", "invalid reference format"},
		"mount of no type":     {"type=cache,target=/go", "type=cash,target=/go", "unsupported mount type"},
		"arguments not JSON":   {`ENTRYPOINT ["/usr/bin/caddy"]`, `ENTRYPOINT ['/usr/bin/caddy']`, "JSON"},
		"secret in the image":  {"ARG VERSION=dev", "ENV VAULT_TOKEN=x", "SecretsUsedInArgOrEnv"},
		"expose of no port":    {"EXPOSE 8081", "EXPOSE probes", "invalid"},
		"label without a name": {"LABEL org.opencontainers.image.title=", "LABEL =", "names can not be blank"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := replaceOnce(t, string(dockerfile(t)), plant.old, plant.new)
			assert.ErrorContains(t, LintImage([]byte(broken)), plant.found)
		})
	}
}

// The builder refuses to fetch another toolchain, so it must have the one that
// go.mod asks for.
func TestTheBuilderHasTheGoThatGoModAsksFor(t *testing.T) {
	gomod, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	require.NoError(t, err)
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(gomod)
	require.NotNil(t, wanted)
	assert.Regexp(t, `(?m)^ARG GO_VERSION=`+regexp.QuoteMeta(string(wanted[1]))+`\.\d+$`, string(dockerfile(t)))
}

// imageBinary is the binary that the image would hold: the context that the
// .dockerignore lets through, and in it the command that the Dockerfile runs.
var imageBinary = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		return "", err
	}
	image, err := ReadImage(text, nil)
	if err != nil {
		return "", err
	}
	step := image.Steps[len(image.Steps)-1]
	source, output := filepath.Join(scratch, "src"), filepath.Join(scratch, "out")
	if err := CopyContext(repository, "../Dockerfile.dockerignore", source); err != nil {
		return "", err
	}
	for i, arg := range step.Args {
		step.Args[i] = strings.ReplaceAll(arg, "/out/", output+"/")
	}
	build := exec.Command(step.Args[0], step.Args[1:]...)
	build.Dir = source
	build.Env = append(append([]string{}, step.Env...), os.Environ()...) // the machine's PATH and caches win
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return filepath.Join(output, "caddy"), build.Run()
})

func builtBinary(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the image's binary is for Linux")
	}
	binary, err := imageBinary()
	require.NoError(t, err)
	return binary
}

// scratch outlives the tests that share the binary in it.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "countersign-image-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

func TestTheContextBuildsAStaticBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Caddy, which takes minutes the first time")
	}
	binary, err := elf.Open(builtBinary(t))
	require.NoError(t, err)
	defer binary.Close()
	libraries, err := binary.ImportedLibraries()
	require.NoError(t, err)
	assert.Empty(t, libraries)
	for _, part := range binary.Progs {
		assert.NotEqual(t, elf.PT_INTERP, part.Type, "there is no dynamic loader in the image")
	}
}

func TestNoKeyReachesTheBuildContext(t *testing.T) {
	target := t.TempDir()
	require.NoError(t, CopyContext(repository, "../Dockerfile.dockerignore", target))
	var files []string
	require.NoError(t, filepath.WalkDir(target, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			relative, _ := filepath.Rel(target, path)
			files = append(files, relative)
		}
		return err
	}))
	require.Contains(t, files, "go.mod")
	require.Contains(t, files, "module/cmd/caddy/main.go")
	for _, file := range files {
		if ok, _ := filepath.Match("module/providers/*/keys/test/*/*", file); ok {
			continue // in the program, for recipe test
		}
		assert.NotRegexp(t, `\.pem$|secret$|_test\.go$|testdata/|^keys-dev/|^\.`, file)
	}
}

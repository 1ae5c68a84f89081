package command_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/countersign/caddy-countersign/module"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// TestMain takes the terminal of an English speaker, wherever the tests run.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := os.Setenv("LC_ALL", "C"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// run runs a command line as the caddy command would, and returns its exit
// status.
func run(t *testing.T, stdin io.Reader, stdout, stderr io.Writer, args ...string) int {
	t.Helper()
	registered, ok := caddycmd.Commands()["countersign"]
	require.True(t, ok)
	countersign := &cobra.Command{Use: registered.Name + " " + registered.Usage, Short: registered.Short, Long: registered.Long}
	registered.CobraFunc(countersign)
	caddy := &cobra.Command{Use: "caddy", SilenceUsage: true} // as Caddy makes it
	caddy.AddCommand(countersign)
	caddy.SetIn(stdin)
	caddy.SetOut(stdout)
	caddy.SetErr(stderr)
	caddy.SetArgs(args)
	if caddy.ExecuteContext(t.Context()) != nil {
		return 1
	}
	return 0
}

// A transcript is what a terminal shows: the command, what it prints on both of
// its outputs, and its exit status where that is not 0. The files that it names
// stand beside it. One that ends in .zh is in Chinese.
func TestTranscripts(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	cases, err := filepath.Glob("testdata/transcripts/*/transcript*")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, file := range cases {
		t.Run(filepath.Base(filepath.Dir(file))+strings.TrimPrefix(filepath.Base(file), "transcript"), func(t *testing.T) {
			file, err := filepath.Abs(file)
			require.NoError(t, err)
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			line, _, _ := strings.Cut(string(want), "\n")

			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Dir(file))))
			require.NoError(t, os.Symlink(filepath.Join(root, "keys-dev"), filepath.Join(dir, "keys-dev")))
			require.NoError(t, os.Symlink(filepath.Join(root, "module", "command", "testdata", "keys"), filepath.Join(dir, "keys")))
			t.Chdir(dir)

			var terminal bytes.Buffer
			words := split(strings.TrimPrefix(line, "$ "))
			require.Equal(t, "caddy", words[0])
			status := run(t, strings.NewReader(""), &terminal, &terminal, words[1:]...)
			got := line + "\n" + settled(terminal.String())
			if !strings.HasSuffix(got, "\n") {
				got += "\n"
			}
			if status != 0 {
				got += fmt.Sprintf("exit status %d\n", status)
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			assert.Equal(t, string(want), got)
		})
	}
}

// What the pages show is what the commands print, each in its language.
func TestThePagesShowTranscripts(t *testing.T) {
	for _, page := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(page, func(t *testing.T) { checkPage(t, page) })
	}
}

func checkPage(t *testing.T, name string) {
	t.Helper()
	page, err := os.ReadFile(name)
	require.NoError(t, err)
	files, err := filepath.Glob("testdata/transcripts/*/transcript*")
	require.NoError(t, err)
	var printed []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		printed = append(printed, string(text))
	}
	shown := regexp.MustCompile("(?s)```console\n(\\$ caddy countersign .*?)```\n").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, shown)
	for _, block := range shown {
		assert.Contains(t, printed, block[1])
	}
}

var version = regexp.MustCompile(`(, version |，版本 )\S+`)

// settled returns an output without what differs from run to run: the version of a
// key set is the time of its files.
func settled(output string) string { return version.ReplaceAllString(output, "${1}…") }

// split cuts a command line into words as a shell does, as far as transcripts
// need it.
func split(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

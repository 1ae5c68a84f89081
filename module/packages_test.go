package countersign_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const project = "github.com/countersign/caddy-countersign/"

// CONTRIBUTING's table of the packages is the real graph: every package stands in a row,
// and imports its own row and the rows below only. The last row knows neither Caddy
// nor HTTP.
func TestThePackagesAreWhatContributingShows(t *testing.T) {
	rows, last := packageRows(t, filepath.Join(".github", "CONTRIBUTING.md"))
	for file, imports := range sources(t) {
		from, ok := rowOf(rows, filepath.ToSlash(filepath.Dir(file)))
		if !assert.True(t, ok, "%s is in no row", file) {
			continue
		}
		for _, path := range imports {
			if from == last {
				assert.NotRegexp(t, `^(net/http|github\.com/caddyserver/)`, path, "%s is a primitive", file)
			}
			local, ours := strings.CutPrefix(path, project)
			if !ours {
				continue
			}
			if strings.HasPrefix(local, "module/internal/") {
				assert.True(t, strings.HasSuffix(filepath.Dir(file), "test"), "%s imports %s, which only tests use", file, local)
				continue
			}
			to, ok := rowOf(rows, local)
			assert.True(t, ok, "%s is in no row", local)
			assert.GreaterOrEqual(t, to, from, "%s imports %s, which stands above it", file, local)
		}
	}
}

// packageRows reads the table: the row of each folder, counted from the top, and
// the number of the last row.
func packageRows(t *testing.T, page string) (map[string]int, int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	require.NoError(t, err)
	rows, last := make(map[string]int), -1
	folder := regexp.MustCompile("`(module/[a-z0-9/]+)`")
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`module/") {
			continue
		}
		last++
		for _, match := range folder.FindAllStringSubmatch(cells[1], -1) {
			assert.NotContains(t, rows, match[1], "it stands in two rows")
			assert.DirExists(t, filepath.Join("..", match[1]))
			rows[match[1]] = last
		}
	}
	require.Positive(t, last, "the table of the packages was not found")
	return rows, last
}

// rowOf finds the row of a folder, or of the nearest folder above it.
func rowOf(rows map[string]int, folder string) (int, bool) {
	for folder != "." && folder != "/" {
		if row, ok := rows[folder]; ok {
			return row, true
		}
		folder = filepath.ToSlash(filepath.Dir(folder))
	}
	return 0, false
}

// sources finds what each file of the product imports. The list of modules, the
// program and what only tests use stand outside of the table.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch {
			case path == "cmd", path == "internal", entry.Name() == "testdata":
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Dir(path) == "." || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name := "module/" + filepath.ToSlash(path)
		found[name] = []string{}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[name] = append(found[name], imported)
		}
		return nil
	}))
	require.Greater(t, len(found), 100)
	return found
}

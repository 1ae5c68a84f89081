package providers_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The tables of the two README files are made of the recipes. UPDATE=1 writes
// them anew.
func TestReadme(t *testing.T) {
	table := recipeTable(t)
	for _, file := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		before, rest, ok := strings.Cut(string(text), "<!-- recipes -->\n")
		require.True(t, ok, file)
		head, rest, ok := strings.Cut(rest, "|---|---|---|---|---|---|---|\n")
		require.True(t, ok, file)
		_, after, ok := strings.Cut(rest, "<!-- /recipes -->\n")
		require.True(t, ok, file)
		want := before + "<!-- recipes -->\n" + head + "|---|---|---|---|---|---|---|\n" + table + "<!-- /recipes -->\n" + after
		if os.Getenv("UPDATE") != "" {
			require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
			continue
		}
		assert.Equal(t, want, string(text), "run UPDATE=1 go test ./module/providers -run TestReadme")
	}
}

func recipeTable(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, name := range providers.Names() {
		r, ok := providers.Find(name)
		require.True(t, ok)
		p, err := recipe.Compile(name, r, nil)
		require.NoError(t, err)
		d := p.Describe()
		proof, _ := p.Proof()
		var options []string
		for _, option := range p.OptionNames() {
			if option != "match" {
				options = append(options, "`"+option+"`")
			}
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s | %s |\n", name, p.Title(), proof,
			covered(d.Request), covered(d.Answer), covered(d.Notification), strings.Join(options, " "))
	}
	return out.String()
}

// covered returns what a signature covers, for people: the members' last names.
func covered(d *scheme.Direction) string {
	switch {
	case d == nil:
		return "–"
	case d.Part == "":
		return "token"
	case d.Part == "*":
		return "`*`"
	}
	var names []string
	for name := range strings.SplitSeq(d.Part, ",") {
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 && strings.Contains(d.Part, ",") {
			name = name[dot+1:]
		}
		names = append(names, "`"+name+"`")
	}
	return strings.Join(slices.Compact(names), " ")
}

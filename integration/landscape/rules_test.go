package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/providers"
)

// Each of the 219 rules has a state, and what it says is so.
func TestRules(t *testing.T) {
	rules, err := readRules()
	require.NoError(t, err)
	require.Len(t, rules, 219)
	own, err := readRecipes()
	require.NoError(t, err)
	used := make(map[string]bool)
	for _, x := range rules {
		_, found := providers.Find(x.recipe)
		switch x.state {
		case ships:
			assert.True(t, found, "%s: no recipe %s ships", x.provider, x.recipe)
		case expressible:
			assert.Contains(t, own, x.recipe, x.provider)
			assert.False(t, found, "%s: %s ships", x.provider, x.recipe)
		case not:
			assert.Empty(t, x.recipe, x.provider)
			assert.NotEmpty(t, x.why, x.provider)
		default:
			assert.Fail(t, "no state", x.provider)
		}
		assert.NotEmpty(t, x.source, x.provider)
		assert.False(t, used[x.recipe] && x.recipe != "", "%s stands twice", x.recipe)
		used[x.recipe] = true
	}
	for name := range own {
		assert.True(t, used[name] || strings.HasPrefix(name, words), "no rule has the recipe %s", name)
	}
}

// The README says the numbers, in both languages.
func TestCoverage(t *testing.T) {
	rules, err := readRules()
	require.NoError(t, err)
	n := count(rules)
	assert.GreaterOrEqual(t, n[ships]+n[expressible], 190)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	assert.Contains(t, strings.Join(strings.Fields(string(readme)), " "), sentence(n))
	chinese, err := os.ReadFile("../../README.zh-CN.md")
	require.NoError(t, err)
	assert.Contains(t, string(chinese), fmt.Sprintf("%d 条签名规则中，自带 %d 条，另有 %d 条可以写成配方，%d 条写不出来", len(rules), n[ships], n[expressible], len(rules)-n[ships]-n[expressible]))
}

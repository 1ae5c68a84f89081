package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?s)```.*?```")
)

// anchor returns what GitHub makes of a heading.
func anchor(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}

// A link in a page leads to a file that is there, and to a heading that it has. What
// has a page in Chinese is linked to as such by the pages in Chinese, and each of the
// two names the other.
func TestLinksLeadSomewhere(t *testing.T) {
	pages := 0
	err := filepath.WalkDir(process.Repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "node_modules" || name == "testdata" || name == ".git" || strings.HasPrefix(name, ".xcaddy")) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		pages++
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		chinese := strings.HasSuffix(path, ".zh-CN.md")
		if twin := inChinese(path); !chinese && exists(twin) {
			assert.True(t, strings.Contains(string(text), "[中文]("+relative(t, path, twin)+")"), "%s does not name the page in Chinese", path)
		}
		if chinese {
			assert.True(t, strings.Contains(string(text), "[English]("+relative(t, path, inEnglish(path))+")"), "%s does not name the page in English", path)
		}
		for _, found := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			target, section, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), filepath.FromSlash(target))
			}
			if !assert.True(t, exists(to), "%s: there is no %s", path, found[1]) {
				continue
			}
			if chinese && filepath.Ext(to) == ".md" && !strings.HasSuffix(to, ".zh-CN.md") && to != inEnglish(path) {
				assert.False(t, exists(inChinese(to)), "%s: %s is there in Chinese", path, found[1])
			}
			if section != "" {
				linked, err := os.ReadFile(to)
				require.NoError(t, err)
				var anchors []string
				for _, h := range heading.FindAllStringSubmatch(string(linked), -1) {
					anchors = append(anchors, anchor(h[1]))
				}
				assert.Contains(t, anchors, section, "%s: %s", path, found[1])
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.Greater(t, pages, 20)
}

// The security page stands at the top, where GitHub looks for it. In Chinese it
// stands in .github, as the top has few files.
var (
	security        = filepath.Join(process.Repository, "SECURITY.md")
	securityChinese = filepath.Join(process.Repository, ".github", "SECURITY.zh-CN.md")
)

func inChinese(page string) string {
	if page == security {
		return securityChinese
	}
	return strings.TrimSuffix(page, ".md") + ".zh-CN.md"
}

func inEnglish(page string) string {
	if page == securityChinese {
		return security
	}
	return strings.TrimSuffix(page, ".zh-CN.md") + ".md"
}

// relative is the link from one page to another.
func relative(t *testing.T, from, to string) string {
	link, err := filepath.Rel(filepath.Dir(from), to)
	require.NoError(t, err)
	return filepath.ToSlash(link)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

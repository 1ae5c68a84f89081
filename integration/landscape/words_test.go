package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// refused is why the compiler refuses a recipe: it says which words there are.
func refused(t *testing.T, request string) string {
	t.Helper()
	recipes, err := providers.Parse("words", []byte("recipe words {\n"+request+"\n}"))
	require.NoError(t, err)
	_, err = recipe.Compile("words", recipes["words"], nil)
	require.Error(t, err, request)
	return err.Error()
}

var listed = regexp.MustCompile(`(?:there are|it has|a recipe has|(?:url|charset) is|unless it is|takes one of|write one of|behind verify|for answers|for notifications) ([a-z0-9, -]+)`)

// wordsIn returns the words that an error lists.
func wordsIn(text string) []string {
	var words []string
	for _, found := range listed.FindAllStringSubmatch(text, -1) {
		for _, w := range strings.FieldsFunc(strings.ReplaceAll(found[1], " and ", ", "), func(r rune) bool { return r == ',' || r == ' ' }) {
			if !slices.Contains([]string{"or", "word", "words", "not", "behind", "verify", "for", "answers", "notifications", "a", "template", "in", "quotes", "at"}, w) || w == "verify" {
				words = append(words, w)
			}
		}
	}
	return words
}

// language returns the words of the language, as the compiler itself lists them, and the
// placeholders, as its documentation does.
func language(t *testing.T) []string {
	t.Helper()
	var all []string
	text := func(line string) string {
		return "text x {\n" + line + "\n}\nrequest {\nsign body.sign rsa-sha256 base64 x\n}"
	}
	cipherLine := func(line string) string { return "request {\nencrypt aes-cbc base64 body.a {\n" + line + "\n}\n}" }
	signLine := func(line string) string {
		return "answer {\nverify body.sign sm2 base64 \"{body.a}\" {\n" + line + "\n}\n}"
	}
	for _, source := range []string{
		"word x", "request {\nword x\n}", "answer {\nword x\n}", "notification {\nword x\n}",
		text("word x"), text("sorted body word"), text("values a join , word"), text("json body word"), text("\"{body}\"\nword"),
		text("sorted body empty word"), text("sorted body nested word"), text("sorted body null word"), text("sorted body booleans word"),
		text("sorted body order word"), text("sorted body lists word"), text("sorted body elements word"), text("sorted body numbers word"),
		text("sorted body trim word"), text("sorted body escape word"), text("\"{body}\"\nurl word"), text("\"{body}\"\nstrip word"),
		text("values sorted order word"),
		cipherLine("word x"), cipherLine("padding word"), cipherLine("order word"), cipherLine("secret word"), signLine("word x"),
		"request {\nsend word\n}", "request {\nwrap word\n}", "request {\nsend form word\n}",
	} {
		words := wordsIn(refused(t, source))
		if !strings.Contains(source, "url word") {
			require.NotEmpty(t, words, source+": "+refused(t, source))
		}
		all = append(all, words...)
	}
	for _, named := range []func(string) error{
		func(n string) error { _, err := algorithm.Named(n); return err },
		func(n string) error { _, err := cipher.Named(n); return err },
		func(n string) error { _, err := encoding.Named(n); return err },
	} {
		words := wordsIn(named("?").Error())
		require.NotEmpty(t, words)
		all = append(all, words...)
	}
	doc, err := os.ReadFile("../../module/recipe/LANGUAGE.md")
	require.NoError(t, err)
	for line := range strings.SplitSeq(string(doc), "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, found := range regexp.MustCompile("`(\\{[a-z_.A-Z<> ]+)").FindAllStringSubmatch(cells[1], -1) {
				head, _, _ := strings.Cut(strings.TrimSuffix(found[1], "}"), "<")
				all = append(all, regexp.MustCompile(`\.(a|list|Name|name|N)\b.*`).ReplaceAllString(head, "."))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Every word of the language occurs in a recipe whose text is compared in texts.txt.
func TestEveryWord(t *testing.T) {
	own, err := readRecipes()
	require.NoError(t, err)
	used := make(map[string]bool)
	placeholders := ""
	var walk func(lines []recipe.Line)
	walk = func(lines []recipe.Line) {
		for _, l := range lines {
			for _, w := range l.Words {
				used[w] = true
				placeholders += " " + w
			}
			walk(l.Block)
		}
	}
	for _, e := range readEntries(t) {
		r, ok := own[e.recipe]
		if !ok {
			r, ok = providers.Find(e.recipe)
		}
		require.True(t, ok, e.recipe)
		walk(r.Lines)
	}
	words := language(t)
	assert.Greater(t, len(words), 130)
	var missing []string
	for _, w := range words {
		if strings.HasPrefix(w, "{") && strings.Contains(placeholders, w) {
			continue
		}
		if !used[w] {
			missing = append(missing, w)
		}
	}
	assert.Empty(t, missing, "no text in texts.txt has these words")
}

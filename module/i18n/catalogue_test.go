package i18n

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The functions and methods that take a template, and which of their arguments it
// is: those of this package, and those that hand a template on to it.
var takers = map[string]int{
	"i18n.T": 0, "i18n.Sprintf": 0, "i18n.Errorf": 0, "i18n.Fprintf": 1,
	"scheme.Failf": 1, "Failf": 1,
}

// Methods, whatever their receiver is called.
var methods = map[string]int{"line": 1, "errorf": 0, "one": 0}

// Where a method of that name is no taker.
var methodsIn = map[string][]string{
	"line":   {"command"},
	"errorf": {"recipe"},
	"one":    {"recipe"},
}

// use is a template where it stands.
type use struct {
	template string
	args     int // -1 if they are not known
	at       token.Position
}

// templates returns all templates in the source of the product.
func templates(t *testing.T) []use {
	t.Helper()
	var all []use
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == filepath.Join("..", "i18n") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		handed := make(map[*ast.CallExpr]bool) // calls by which a taker hands on what it is given
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if _, taker := taken(file.Name.Name, f); !ok || !taker {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					handed[call] = true
				}
				return true
			})
		}
		helps := strings.HasPrefix(filepath.ToSlash(path), "../command/")
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := help(n); helps && ok {
				all = append(all, use{text, -1, files.Position(n.Pos())})
				return true
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || handed[call] {
				return true
			}
			i, ok := takes(file.Name.Name, call)
			if !ok {
				return true
			}
			at := files.Position(call.Pos())
			if !assert.Greater(t, len(call.Args), i, "%s", at) {
				return true
			}
			text, ok := constant(call.Args[i])
			if !assert.True(t, ok, "%s: the template is no literal, so that no translation can be found for it", at) {
				return true
			}
			args := len(call.Args) - i - 1
			if call.Ellipsis.IsValid() {
				args = -1
			}
			all = append(all, use{text, args, at})
			return true
		})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(all), 300, "the source is not where this test looks for it")
	return append(all, guesses(t)...)
}

var guess = regexp.MustCompile(`(?m)^\tproof guess "(.*)"$`)

// guesses returns what the recipes that ship say of a guess: the doctor repeats it.
func guesses(t *testing.T) (all []use) {
	t.Helper()
	files, err := filepath.Glob("../providers/*/recipe.caddyfile")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range guess.FindAllSubmatch(text, -1) {
			all = append(all, use{string(m[1]), -1, token.Position{Filename: file}})
		}
	}
	require.NotEmpty(t, all)
	return all
}

// help returns the text of a command's help at a node: Short, Long, and what a flag is
// for, which is the last argument of the function that adds it.
func help(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "Short" || key.Name == "Long") {
			return constant(n.Value)
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || len(n.Args) < 3 {
			return "", false
		}
		flags, ok := f.X.(*ast.CallExpr)
		if !ok {
			return "", false
		}
		of, ok := flags.Fun.(*ast.SelectorExpr)
		if ok && (of.Sel.Name == "Flags" || of.Sel.Name == "PersistentFlags") && strings.Contains(f.Sel.Name, "Var") {
			return constant(n.Args[len(n.Args)-1])
		}
	}
	return "", false
}

// taken reports whether a function is itself one that takes a template.
func taken(pkg string, f *ast.FuncDecl) (int, bool) {
	if f == nil {
		return 0, false
	}
	if f.Recv == nil {
		i, ok := takers[f.Name.Name]
		return i, ok
	}
	i, ok := methods[f.Name.Name]
	return i, ok && slices.Contains(methodsIn[f.Name.Name], pkg)
}

// takes reports whether a call is one of a function that takes a template.
func takes(pkg string, call *ast.CallExpr) (int, bool) {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		i, ok := takers[f.Name]
		return i, ok
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			if i, ok := takers[x.Name+"."+f.Sel.Name]; ok {
				return i, true
			}
		}
		i, ok := methods[f.Sel.Name]
		return i, ok && slices.Contains(methodsIn[f.Sel.Name], pkg)
	}
	return 0, false
}

// constant returns the text of a literal, or of several with + between them.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		x, ok1 := constant(e.X)
		y, ok2 := constant(e.Y)
		return x + y, ok1 && ok2 && e.Op == token.ADD
	case *ast.Ident: // of a media type
		return "application/json", e.Name == "jsonType"
	}
	return "", false
}

var verb = regexp.MustCompile(`%[-+# 0]*[0-9*]*(?:\.[0-9*]+)?(?:\[(\d+)\])?[a-zA-Z%]`)

// verbs returns the verbs of a template by the argument that each shows.
func verbs(template string) map[int]string {
	found := make(map[int]string)
	next := 1
	for _, m := range verb.FindAllStringSubmatch(template, -1) {
		if m[0] == "%%" {
			continue
		}
		at := next
		if m[1] != "" {
			at, _ = strconv.Atoi(m[1])
		}
		next = at + 1
		found[at] = m[0][len(m[0])-1:]
	}
	return found
}

// code is a template that reads the same in every language: names, paths, numbers
// and signs.
var code = regexp.MustCompile(`^(?:[^A-Za-z]|%[a-z]|application/json|[a-z]+(?:_[a-z]+)+|RFC)*$`)

func isCode(template string) bool { return code.MatchString(template) }

// Every text is there in both languages, with the same arguments, and nothing is
// left in the catalogue that nobody says any more.
func TestNoTextIsMissing(t *testing.T) {
	used := make(map[string]bool)
	var missing []string
	for _, u := range templates(t) {
		used[u.template] = true
		if u.args >= 0 {
			assert.Len(t, verbs(u.template), u.args, "%s: %q has another number of verbs than of arguments", u.at, u.template)
		}
		translated, ok := chinese()[u.template]
		switch {
		case !ok && !isCode(u.template) && !slices.Contains(missing, u.template):
			missing = append(missing, u.template)
		case ok:
			assert.Equal(t, verbs(u.template), verbs(translated), "%q is translated with other arguments: %q", u.template, translated)
		}
	}
	for _, template := range missing {
		t.Errorf("there is no Chinese for %q", template)
	}
	for template := range chinese() {
		assert.True(t, used[template], "%q is in the catalogue and is not used", template)
	}
}

// Folders whose errors nobody reads but those who work on the product, or a machine.
var unread = []string{
	"sandbox",                            // plays providers, which answer as they do
	"providers/providertest", "internal", // of tests
	"i18n", "scheme", // which make texts of what they are given
	"keys/internal/libcrypto",                    // of OpenSSL, in its words
	"telemetry/logger.go", "network/describe.go", // of others, cut to what may be shown
	"unanswered/walk.go", "proxy/coding.go", // never shown
}

// An error that a person may read is made by this package: fmt and errors make none
// that has a word in it.
func TestErrorsSpeakBothLanguages(t *testing.T) {
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel("..", path)
		if slices.Contains(unread, filepath.ToSlash(name)) && d.IsDir() {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || slices.Contains(unread, filepath.ToSlash(name)) {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := f.X.(*ast.Ident); ok && (pkg.Name == "fmt" && f.Sel.Name == "Errorf" || pkg.Name == "errors" && f.Sel.Name == "New") {
				text, literal := constant(call.Args[0])
				assert.True(t, literal && isCode(text), "%s: make it with i18n.Errorf, and give its Chinese", files.Position(call.Pos()))
			}
			if d, ok := f.X.(*ast.Ident); ok && d.Name == "d" && slices.Contains([]string{"Err", "Errf", "ArgErr", "SyntaxErr"}, f.Sel.Name) {
				assert.Fail(t, "what Caddy says is English", "%s: make it with d.WrapErr and i18n.Errorf", files.Position(call.Pos()))
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
}

// A Chinese text is Chinese, and written as Chinese is: no ASCII comma or full stop
// behind a Chinese character.
func TestChineseIsChinese(t *testing.T) {
	han := regexp.MustCompile(`\p{Han}`)
	ascii := regexp.MustCompile(`\p{Han}[,;:?!](?:\s|\p{Han}|$)`)
	for template, translated := range chinese() {
		if !isCode(template) { // of which only the signs are other ones
			assert.Regexp(t, han, translated, template)
		}
		assert.NotRegexp(t, ascii, translated, template)
		if !strings.Contains(template, "\n") { // a paragraph
			assert.NotRegexp(t, `。$`, translated, "texts are joined, as those of errors are: %s", template)
		}
	}
}

// A template is what stands in the source: it can hold no value, unless somebody
// has written one down. What looks like one is found here.
func TestNoTextHoldsAValue(t *testing.T) {
	secret := regexp.MustCompile(`[0-9a-fA-F]{16}|[A-Za-z0-9+/]{40}|-----BEGIN [A-Z ]+-----|[0-9]{11}`)
	for _, u := range templates(t) {
		assert.NotRegexp(t, secret, strings.ReplaceAll(strings.ReplaceAll(u.template, "ORG000000000007", ""), "1000000", ""), "%s", u.at)
		assert.NotRegexp(t, secret, strings.ReplaceAll(strings.ReplaceAll(chinese()[u.template], "ORG000000000007", ""), "1000000", ""))
	}
}

// What is put into a text, or behind one, is a text as well, and not a string that stays
// English: no function returns a string of several words.
func TestFragmentsSpeakBothLanguages(t *testing.T) {
	words := regexp.MustCompile(`^(; |the )\p{Ll}+ \p{Ll}+`)
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel("..", path)
		if slices.Contains(unread, filepath.ToSlash(name)) && d.IsDir() {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || slices.Contains(unread, filepath.ToSlash(name)) {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "Error" {
				return false // of an error that somebody describes
			}
			returned, ok := n.(*ast.ReturnStmt)
			if !ok || len(returned.Results) != 1 {
				return true
			}
			expression := returned.Results[0]
			for {
				sum, ok := expression.(*ast.BinaryExpr)
				if !ok {
					break
				}
				expression = sum.X
			}
			text, literal := constant(expression)
			assert.False(t, literal && words.MatchString(text), "%s: return an i18n.Text", files.Position(returned.Pos()))
			return true
		})
		return nil
	})
	require.NoError(t, err)
}

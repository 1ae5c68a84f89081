package scheme_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Only Open makes a Verified: it has no exported field, no other exported function
// returns one, and nothing else in the module writes one down. The zero Verified,
// which anybody can make, holds nothing to be released.
func TestOnlyOpenMakesAVerified(t *testing.T) {
	verified := reflect.TypeFor[scheme.Verified]()
	for i := range verified.NumField() {
		assert.False(t, verified.Field(i).IsExported(), verified.Field(i).Name)
	}
	assert.Panics(t, func() { new(scheme.Verified).Body() })
	assert.Panics(t, func() { new(scheme.Verified).Wire() })
	assert.Panics(t, func() { new(scheme.Verified).Message() })
	var makers, returners []string
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		here := filepath.Dir(path) == "../scheme"
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if here && f.Name.IsExported() && f.Type.Results != nil {
				for _, result := range f.Type.Results.List {
					if isVerified(result.Type, here) {
						returners = append(returners, f.Name.Name)
					}
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if isVerified(n.Type, here) {
						makers = append(makers, path)
					}
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "new" && isVerified(n.Args[0], here) {
						makers = append(makers, path)
					}
				}
				return true
			})
		}
		return nil
	}))
	assert.Equal(t, []string{"Open"}, returners)
	assert.NotEmpty(t, makers)
	for _, maker := range makers {
		assert.Equal(t, "../scheme/open.go", maker)
	}
}

// isVerified reports whether an expression is the type Verified or a pointer to it.
func isVerified(e ast.Expr, here bool) bool {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return here && id.Name == "Verified"
	}
	selector, ok := e.(*ast.SelectorExpr)
	return ok && selector.Sel.Name == "Verified"
}

// Every byte of a message is changed in every bit. What opens all the same says
// what the genuine message says in all that is signed.
func TestEveryBit(t *testing.T) {
	ours := secret("s3cret")
	for _, members := range []string{
		`"order":"1","amount":1.10,"note":"\u4e2d& ","empty":"","none":null`,
		`"list":[1, {"a":"b"}],"object":{"x":[true]},"b":false`,
		` "z" : "1" , "a" : "2" `,
	} {
		genuine := signed(t, message.Notification, ours, members)
		want, err := scheme.Open(honest(), scheme.Incoming{Message: genuine, Keys: ours, Now: now})
		require.NoError(t, err)
		opened := 0
		for at := range genuine.Wire {
			for bit := range 8 {
				changed := message.New(message.Notification)
				changed.Wire = append([]byte{}, genuine.Wire...)
				changed.Wire[at] ^= 1 << bit
				if (message.Format{}).Read(changed) != nil {
					continue
				}
				v, err := scheme.Open(honest(), scheme.Incoming{Message: changed, Keys: ours, Now: now})
				if err != nil {
					assert.Nil(t, v)
					continue
				}
				opened++
				require.Equal(t, want.Canonical(), v.Canonical(), "%s", changed.Wire)
				require.Equal(t, want.Identity(scheme.NotifyRule{}), v.Identity(scheme.NotifyRule{}), "%s", changed.Wire)
				for _, name := range []string{"order", "amount", "note", "list", "object", "b", "z", "a"} {
					is, _ := v.Member(body.Path{name})
					was, _ := want.Member(body.Path{name})
					require.Equal(t, was.IsAbsent(), is.IsAbsent(), "%s", changed.Wire)
					if !was.IsAbsent() {
						require.Equal(t, string(was.Text()), string(is.Text()), "%s", changed.Wire)
					}
				}
			}
		}
		assert.Less(t, opened, len(genuine.Wire)*8/10)
	}
}

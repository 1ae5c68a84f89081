package provider_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/sandbox/provider"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/easypay"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hbsk"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hkrt"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hongwen"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/providertest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/jeepay"
)

var providers = map[string]provider.Provider{
	"/ledger/mpos":                  easypay.New(),
	"/api/division/exec":            jeepay.New(),
	"/share/apply":                  hbsk.New(),
	"/api/v1/delay-ledger/ledger":   hkrt.New(),
	"/gateway.do":                   hongwen.New(),
	"/ledger/mposfind?envelope=own": &easypay.Provider{},
	"/other":                        &hbsk.Provider{},
}

// TestStandardLibraryAlone is the promise of the package: what judges the
// schemes shares no code with them.
func TestStandardLibraryAlone(t *testing.T) {
	const own = "github.com/countersign/caddy-countersign/module/sandbox/provider"
	files := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.HasPrefix(path, "internal/providertest/") {
			return err
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			first, _, _ := strings.Cut(name, "/")
			assert.True(t, !strings.Contains(first, ".") || name == own || strings.HasPrefix(name, own+"/"),
				"%s imports %s", path, name)
		}
		return nil
	}))
	assert.Greater(t, files, 15)
}

func TestUnable(t *testing.T) {
	answer := provider.Unable(assert.AnError)
	assert.Equal(t, 500, answer.Status)
	assert.False(t, answer.OK)
	assert.Contains(t, string(answer.Body), assert.AnError.Error())
}

func TestWithoutAnyKeysNothingIsSigned(t *testing.T) {
	for path, p := range providers {
		answer := p.Answer(provider.Request{Path: path, ContentType: "application/json", Body: []byte(`{}`)})
		assert.False(t, answer.OK, path)
		assert.NotContains(t, string(answer.Body), `"sign"`, path)
	}
}

// FuzzAnswer wants an answer to whatever comes, and success for none of it.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ``, `{"bizData":{}}`, `{"data":"{}","key":"1","time":1668671935,"sign":"00"}`,
		`{"appId":"1","version":"1.0","reqTime":"1622016572190","signType":"MD5","sign":"00"}`,
		`{"accessid":"1","ledger_relation":[{"amt":0.01}],"sign":"00"}`,
		`{"bizData":{"oriOrgTrace":"1"},"signType":"RSA","sign":"AAAA"}`,
		`{"a":"\ud83d\ude00","\u0061":1,"b":[[[1e22]]]}`,
	} {
		f.Add([]byte(seed))
	}
	keys := providertest.RSA(f, 1024).Keys("secret")
	f.Fuzz(func(t *testing.T, body []byte) {
		for path, p := range providers {
			answer := p.Answer(provider.Request{
				Path: path, ContentType: "application/json", Body: body, Keys: keys, Now: providertest.Now,
			})
			assert.False(t, answer.OK, path)
			assert.NotEmpty(t, answer.Body, path)
			assert.NotEmpty(t, answer.Seen, path)
		}
	})
}

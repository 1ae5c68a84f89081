package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licenseclassifier/v2/assets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The test's own binary is one like any other: it is built of the modules that
// this package imports.
func TestListOfARealBinary(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	var first, second bytes.Buffer
	require.NoError(t, run(t.Context(), options{binary: self}, &first))
	require.NoError(t, run(t.Context(), options{binary: self}, &second))
	assert.Equal(t, first.String(), second.String(), "the same binary gives the same list")

	var bom cdx.BOM
	require.NoError(t, cdx.NewBOMDecoder(&first, cdx.BOMFileFormatJSON).Decode(&bom))
	assert.Regexp(t, `^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$`, bom.SerialNumber)
	digest, err := digestOf(self)
	require.NoError(t, err)
	assert.Equal(t, digest, (*bom.Metadata.Component.Hashes)[0].Value)

	info, err := buildinfo.ReadFile(self)
	require.NoError(t, err)
	components := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		components[c.Name] = c
	}
	assert.Len(t, components, len(info.Deps)+1)
	assert.Equal(t, strings.TrimPrefix(info.GoVersion, "go"), components["std"].Version)
	for _, dep := range info.Deps {
		c := components[dep.Path]
		assert.Equal(t, dep.Version, c.Version, dep.Path)
		assert.Equal(t, module{path: dep.Path, version: dep.Version}.packageURL(), c.PackageURL)
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(dep.Sum, "h1:"))
		require.NoError(t, err)
		assert.Equal(t, hex.EncodeToString(sum), (*c.Hashes)[0].Value, dep.Path)
		require.NotNil(t, c.Licenses, dep.Path)
	}
	assert.Equal(t, "Apache-2.0", (*components["github.com/CycloneDX/cyclonedx-go"].Licenses)[0].License.ID)
	assert.Len(t, *(*bom.Dependencies)[0].Dependencies, len(info.Deps)+1)
}

func TestLicensesOfARealBinary(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), options{binary: self, licenses: true}, &out))
	assert.Regexp(t, `github.com/sergi/go-diff +v\S+ +MIT\n`, out.String())
}

func TestWhatMayNotBeListed(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("no binary"), 0o600))
	require.ErrorContains(t, run(t.Context(), options{binary: text}, &bytes.Buffer{}), "reading what is in")

	// A copy in the module cache that is not what was linked.
	self, err := os.Executable()
	require.NoError(t, err)
	info, err := buildinfo.ReadFile(self)
	require.NoError(t, err)
	other := *info.Deps[0]
	other.Sum = "h1:" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	_, err = findModules(t.Context(), &buildinfo.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{&other}})
	require.ErrorContains(t, err, "not what the binary was built from")
}

// A checkout that stands in for a module keeps the module's name and its own
// licence.
func TestReplacedByADirectory(t *testing.T) {
	modules, err := findModules(t.Context(), &buildinfo.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{{
		Path:    "example.com/plugin",
		Version: "v1.2.3",
		Replace: &debug.Module{Path: "../.."},
	}}})
	require.NoError(t, err)
	assert.Equal(t, module{path: "example.com/plugin", version: "v1.2.3", licenses: []string{"Apache-2.0"}}, modules[1])
}

func TestLibrariesThatAreLoaded(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	static, fast := &buildinfo.BuildInfo{}, &buildinfo.BuildInfo{Settings: []debug.BuildSetting{{Key: "-tags", Value: "nobadger,fastrsa"}}}
	loaded, err := systemLibraries(self, static)
	require.NoError(t, err)
	assert.Empty(t, loaded, "at most the C library")
	loaded, err = systemLibraries(self, fast)
	require.NoError(t, err)
	require.Len(t, loaded, 1)
	assert.Equal(t, "libcrypto", loaded[0].path)
	loaded, err = systemLibraries("main.go", static)
	require.NoError(t, err)
	assert.Empty(t, loaded, "not of this system")
	_, err = systemLibraries("missing", static)
	require.Error(t, err)

	loaded = describeLibraries([]string{"libcrypto.so.3", "libc.so.6", "libresolv.so.2", "ld-linux-x86-64.so.2", "libcrypto.so.1.1", "libcurl.so.4"})
	require.Len(t, loaded, 3)
	assert.True(t, loaded[0].shippable())
	component, err := loaded[0].component()
	require.NoError(t, err)
	assert.Equal(t, "pkg:generic/libcrypto@3", component.PackageURL)
	for _, other := range loaded[1:] {
		assert.False(t, other.shippable(), other.path)
	}
}

func TestLicencesInTheFormat(t *testing.T) {
	tests := []struct {
		licenses []string
		want     *cdx.Licenses
	}{
		{nil, nil},
		{[]string{"MIT"}, &cdx.Licenses{{License: &cdx.License{ID: "MIT"}}}},
		{[]string{"Apache-2.0", "MIT"}, &cdx.Licenses{{Expression: "Apache-2.0 AND MIT"}}},
		{[]string{"Commons-Clause", "MIT"}, &cdx.Licenses{{License: &cdx.License{Name: "Commons-Clause"}}, {License: &cdx.License{Name: "MIT"}}}},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, module{licenses: test.licenses}.choices())
	}
}

func TestLicensesInADirectory(t *testing.T) {
	classifier, err := newClassifier()
	require.NoError(t, err)
	text := func(name string) string {
		for _, file := range []string{"license.txt", "pristine.txt"} {
			if content, err := assets.ReadLicenseFile("License/" + name + "/" + file); err == nil {
				return string(content)
			}
		}
		require.Fail(t, "no text", name)
		return ""
	}
	tests := []struct {
		name      string
		files     map[string]string
		want      []string
		shippable bool
	}{
		{"free", map[string]string{"LICENSE": text("MIT")}, []string{"MIT"}, true},
		{"free, British", map[string]string{"Licence.txt": text("ISC")}, []string{"ISC"}, true},
		{"two in one file", map[string]string{"COPYING": text("MIT") + text("MPL-2.0")}, []string{"MIT", "MPL-2.0"}, true},
		{"two files", map[string]string{"LICENSE-MIT": text("MIT"), "LICENSE-APACHE": text("Apache-2.0")}, []string{"Apache-2.0", "MIT"}, true},
		{"copyleft", map[string]string{"LICENSE": text("AGPL-3.0")}, []string{"AGPL-3.0"}, false},
		{"not open", map[string]string{"LICENSE": text("Business-Source-License-1.1")}, []string{"Business-Source-License-1.1"}, false},
		{"free but for a rider", map[string]string{"LICENSE": text("MIT") + text("Commons-Clause")}, []string{"Commons-Clause", "MIT"}, false},
		{"one of two not known", map[string]string{"LICENSE": text("MIT"), "LICENSE.extra": "Ask me first."}, nil, false},
		{"not known", map[string]string{"LICENSE": "Ask me first."}, nil, false},
		{"elsewhere", map[string]string{"README": text("MIT")}, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
			}
			found, err := classifier.licensesIn(dir)
			require.NoError(t, err)
			assert.Equal(t, test.want, found)

			var out bytes.Buffer
			err = writeLicenses(&out, []module{{path: "example.com/m", version: "v1.0.0", licenses: found}})
			assert.Contains(t, out.String(), "example.com/m")
			if test.shippable {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, "example.com/m@v1.0.0")
			}
		})
	}
}

// A build that depends on where it happens is found out; one that does not,
// passes, and takes new files along but no ignored ones.
func TestReproduce(t *testing.T) {
	tests := []struct {
		name, script string
		same         bool
	}{
		{"same", `cat new source >"$3"`, true},
		{"place", `pwd >"$3"`, false},
		{"ignored files", `ls >"$3"`, false},
		{"failing", `exit 1`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkout := t.TempDir()
			write := func(name, content string) {
				require.NoError(t, os.WriteFile(filepath.Join(checkout, name), []byte(content), 0o700))
			}
			write("xcaddy.sh", "#!/bin/sh\nset -e\n"+test.script+"\n")
			write("source", "one")
			write(".gitignore", "ignored\n")
			write("ignored", "")
			git := exec.CommandContext(t.Context(), "git", "init", "-q", checkout)
			require.NoError(t, git.Run())
			git = exec.CommandContext(t.Context(), "git", "-C", checkout, "add", ".")
			require.NoError(t, git.Run())
			write("new", "two")

			var out bytes.Buffer
			err := reproduce(t.Context(), checkout, &out)
			if test.same {
				require.NoError(t, err)
				assert.Equal(t, 2, strings.Count(out.String(), "\n"))
			} else {
				require.Error(t, err)
			}
		})
	}
}

package countersign_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/countersign/caddy-countersign/module"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

const dashes = "----------"

// Each file in testdata/adapt is a Caddyfile, a line of dashes, and what it
// becomes: JSON, or a part of the error that "caddy validate" gives, with the
// line of the mistake.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			caddyfile, want, found := strings.Cut(string(text), dashes)
			require.True(t, found, "there is no line of dashes")
			want = strings.TrimSpace(want)

			adapted, err := testcaddy.Adapt(caddyfile)
			got := ""
			if err == nil {
				got = indent(t, adapted)
				err = testcaddy.Validate(caddyfile) // offline: no key, no provider, no Vault is asked
			}
			if err != nil {
				got = err.Error()
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(caddyfile+dashes+"\n"+got+"\n"), 0o600))
				return
			}
			if !strings.HasPrefix(filepath.Base(file), "error_") {
				require.NoError(t, err)
				assert.Equal(t, want, got)
				return
			}
			require.Error(t, err)
			assert.Contains(t, got, want)
			assert.Regexp(t, `Caddyfile:\d+`, want, "an error names the file and the line")
		})
	}
}

// A refusal is in the language of the terminal.
func TestRefusalsSpeakChinese(t *testing.T) {
	i18n.Use(i18n.Chinese)
	t.Cleanup(func() { i18n.Use(i18n.English) })
	files, err := filepath.Glob("testdata/adapt/error_*.caddyfiletest")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		caddyfile, _, _ := strings.Cut(string(text), dashes)
		if _, err = testcaddy.Adapt(caddyfile); err == nil {
			err = testcaddy.Validate(caddyfile)
		}
		// The last ones are Caddy's own.
		assert.Regexp(t, `\p{Han}|wrong argument count|unrecognized subdirective|parsing upstream`, err, file)
	}
}

func indent(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, text, "", "\t"))
	return out.String()
}

// The Caddyfiles that ship adapt and validate, offline. None of them has the
// admin endpoint open, and none keeps its configuration on disk.
func TestCaddyfilesThatShip(t *testing.T) {
	testcaddy.Examples(t)
	t.Chdir(testcaddy.Root())
	files, err := filepath.Glob("caddyfiles/*.Caddyfile")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, testcaddy.Validate(string(text)))
			adapted, err := testcaddy.Adapt(string(text))
			require.NoError(t, err)
			var config struct {
				Admin struct {
					Disabled bool
					Listen   string
					Config   struct{ Persist *bool }
				}
			}
			require.NoError(t, json.Unmarshal(adapted, &config))
			assert.True(t, config.Admin.Disabled || strings.HasPrefix(config.Admin.Listen, "unix/") && strings.HasSuffix(config.Admin.Listen, "|0600"),
				"the admin endpoint must be off or a socket of mode 0600")
			if assert.NotNil(t, config.Admin.Config.Persist) {
				assert.False(t, *config.Admin.Config.Persist)
			}
		})
	}
}

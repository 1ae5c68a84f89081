package main

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bare operations are measured by a binary that is built as the sidecar is:
// this test's binary stands for the sidecar's.
func TestAlike(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	_, env, err := alike(self)
	require.NoError(t, err)
	require.NotEmpty(t, env)
	assert.Equal(t, "GOEXPERIMENT=", env[0], "no experiment that the sidecar was built without")
	assert.Contains(t, env, "CGO_ENABLED="+setting(t, self, "CGO_ENABLED"))

	other := filepath.Join(t.TempDir(), "caddy")
	require.NoError(t, os.WriteFile(other, []byte("#!/bin/sh\n"), 0o600))
	_, _, err = alike(other)
	assert.ErrorContains(t, err, "reading how caddy was built")
}

func setting(t *testing.T, binary, key string) string {
	t.Helper()
	info, err := buildinfo.ReadFile(binary)
	require.NoError(t, err)
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

func TestTheRepositoryBuildsTheFlavours(t *testing.T) {
	script, err := os.ReadFile("../../xcaddy.sh")
	require.NoError(t, err)
	flavours := theFlavours()
	require.Len(t, flavours, 2)
	assert.Empty(t, flavours[0].flags, "the first is the one that everybody has")
	for _, flag := range flavours[1].flags {
		assert.Contains(t, string(script), flag+") ", "xcaddy.sh knows %s", flag)
	}
}

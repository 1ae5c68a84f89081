package main

import (
	"crypto/sha256"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	m, err := parseMemory([]byte("Name:\tcaddy\nVmHWM:\t   90112 kB\nVmRSS:\t   61440 kB\nRssFile:\t 1 kB\n"))
	require.NoError(t, err)
	assert.Equal(t, memory{Resident: 61440, Peak: 90112}, m)
	for _, text := range []string{"", "VmRSS:\t1 kB\n", "VmHWM:\t1 MB\nVmRSS:\t1 kB\n", "VmHWM:\tx kB\nVmRSS:\t1 kB\n"} {
		_, err := parseMemory([]byte(text))
		assert.Error(t, err, "%q", text)
	}
	require.NoError(t, resetPeak(os.Getpid()))
	m, err = memoryOf(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, m.Peak, 1000, "KiB")
}

func TestProcessCPU(t *testing.T) {
	before, err := processCPU(os.Getpid())
	require.NoError(t, err)
	work := make([]byte, 1000)
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
		_ = sha256.Sum256(work)
	}
	after, err := processCPU(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, after, before)
	_, err = processCPU(1<<22 - 1)
	assert.Error(t, err, "there is no such process")
}

package vaulttest_test

import (
	"fmt"
	"runtime"
	"testing"
)

// recorder is a test whose end by Skip or Fatal is remembered, not carried
// out. It runs in a goroutine of its own, which ends instead.
type recorder struct {
	testing.TB
	reason string
}

func (r *recorder) Skip(args ...any) {
	r.reason = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Skip(args...) }

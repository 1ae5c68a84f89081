//go:build !linux

package keys

import "go.uber.org/zap"

// Harden does nothing: it is for Linux only.
func Harden(*zap.Logger) {}

//go:build !linux

package telemetry

// GuardStderr does nothing: it is for Linux only.
func GuardStderr() {}

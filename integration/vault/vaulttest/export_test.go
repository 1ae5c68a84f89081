package vaulttest

// BuildServer and Environment are what the tests outside the package need of its
// inside.
var (
	BuildServer = buildServer
	Environment = environment
)

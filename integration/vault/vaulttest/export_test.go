package vaulttest

// BuildServer, LockFile and Environment are what the tests outside the package need of its
// inside.
var (
	BuildServer = buildServer
	LockFile    = lockFile
	Environment = environment
)

package vaulttest

// BuildServer and LockFile are what the tests outside the package need of its
// inside.
var (
	BuildServer = buildServer
	LockFile    = lockFile
)

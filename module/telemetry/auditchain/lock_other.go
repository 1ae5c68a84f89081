//go:build !unix

package auditchain

import "os"

// lock does nothing: there is no flock on this system.
func lock(*os.File) error { return nil }

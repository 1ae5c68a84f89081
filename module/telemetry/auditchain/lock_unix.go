//go:build unix

package auditchain

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the file for this process until it ends.
func lock(file *os.File) error {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a descriptor fits
}

package keysource

import (
	"io/fs"
	"runtime"
)

// HasModes is true where the mode of a file says who may read and write it. On Windows
// access control lists do, and the mode is always 0666.
const HasModes = runtime.GOOS != "windows"

// Permissions returns the permission bits of a file, or 0 if HasModes is false.
func Permissions(info fs.FileInfo) fs.FileMode {
	if !HasModes {
		return 0
	}
	return info.Mode().Perm()
}

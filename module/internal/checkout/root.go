// Package checkout finds the repository that a test runs in.
package checkout

import (
	"os"
	"path/filepath"
	"sync"
)

// Root returns the top of the repository: the folder with xcaddy.sh, above the
// working directory. It panics where there is none. The compiler's own paths are
// no help: they are trimmed where tests are built as the release is.
var Root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for from := dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "xcaddy.sh")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("no xcaddy.sh above " + from)
		}
	}
})

package guardrails_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func assertOwner(t *testing.T, path string, uid, gid uint32) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	assert.Equal(t, uid, stat.Uid)
	assert.Equal(t, gid, stat.Gid)
}

// dialAs connects to a socket as another user and group. Only the thread changes,
// and it ends with the goroutine.
func dialAs(t *testing.T, socket string, uid, gid int) error {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread is of no use afterwards
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
			result <- errno
			return
		}
		_ = unix.Setfsgid(gid)
		_ = unix.Setfsuid(uid)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
			_ = unix.Close(fd)
		}
		result <- err
	}()
	return <-result
}

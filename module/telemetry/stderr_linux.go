package telemetry

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Standard error is where Caddy logs by default. If it is a pipe that nobody reads,
// every write to it blocks for good: those of Caddy's own loggers, on the path of a
// payment and in the shutdown, as well. So a pipe is opened anew as a description of
// its own that does not block, to which writes can have a deadline. The description
// that other processes share is not changed.

const (
	stderrCheck    = 250 * time.Millisecond // between two looks at the pipe
	stderrPatience = 500 * time.Millisecond // for which it may be full
)

// stderrPipe is standard error if it is a pipe that was opened anew, or nil.
var stderrPipe *os.File

func init() {
	var stat unix.Stat_t
	if unix.Fstat(int(os.Stderr.Fd()), &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFIFO { //nolint:gosec // a descriptor fits
		return
	}
	file, err := os.OpenFile("/proc/self/fd/2", os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return // it belongs to another user, or nobody has it open for reading
	}
	stderrPipe, os.Stderr = file, file
	if len(os.Args) > 1 && os.Args[1] == "run" {
		// The pipe may be full already, left so by a process before this one: then
		// Caddy's first line, before any configuration, would wait for good.
		GuardStderr()
		GuardShutdown()
	}
}

var stderrOnce sync.Once

// GuardStderr keeps standard error from blocking, if it is a pipe: when the pipe has
// been full for half a second, writes to it are dropped. Caddy's use of the descriptor
// makes it blocking again, which further calls undo.
func GuardStderr() {
	if stderrPipe == nil {
		return
	}
	unblock(stderrPipe)
	stderrOnce.Do(func() { go guardPipe(stderrPipe) })
}

// guardPipe makes writes fail while a pipe is full.
func guardPipe(pipe *os.File) {
	var full time.Time // since when; zero if it is not
	failing := false
	for range time.Tick(stderrCheck) {
		switch writable := unblock(pipe); {
		case writable:
			full = time.Time{}
			if failing {
				failing = pipe.SetWriteDeadline(time.Time{}) != nil
			}
		case full.IsZero():
			full = time.Now()
		case !failing && time.Since(full) >= stderrPatience:
			failing = pipe.SetWriteDeadline(time.Unix(1, 0)) == nil
		}
	}
}

// unblock makes a pipe non-blocking again, which (*os.File).Fd undoes, and
// reports whether it takes a line.
func unblock(pipe *os.File) (writable bool) {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return true
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SetNonblock(int(fd), true)                          //nolint:gosec // a descriptor fits
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor fits
		n, err := unix.Poll(poll, 0)
		writable = err != nil || n > 0
	})
	return writable
}

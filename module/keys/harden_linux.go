package keys

import (
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Harden keeps the memory of the process, which holds private keys, out of core
// dumps, away from other processes of the same user, and out of swap where the
// limit on locked memory allows. It is called when key sources start, and may be
// called again. Failures are logged: the keys are then as safe as without it.
//
// Memory is locked only where the limit (RLIMIT_MEMLOCK) is unlimited. With a
// smaller one every allocation beyond it would fail, which ends a Go program.
func Harden(logger *zap.Logger) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		logger.Warn("core dumps could not be turned off", zap.Error(err))
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur != unix.RLIM_INFINITY {
		logger.Debug("memory is not locked: the limit on locked memory is not unlimited")
		return
	}
	// Only pages that are in use are locked, not the address space that Go
	// reserves.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		logger.Warn("memory could not be locked", zap.Error(err))
	}
}

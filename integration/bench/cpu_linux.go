package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime returns the CPU time, user and system, that a process has used. It
// reads the clock of the process (clock_getcpuclockid(3)), which counts
// nanoseconds; /proc/PID/stat counts hundredths of a second.
func cpuTime(pid int) (time.Duration, error) {
	var t syscall.Timespec
	clock := uintptr(^pid<<3 | 2)
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); errno != 0 { //nolint:gosec // a system call takes the address
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(t.Nano()), nil
}

// stayAwake keeps idle cores from halting until release is called
// (https://docs.kernel.org/power/pm_qos_interface.html). The core of the load is
// idle the more, the slower the measured program is, and waking it is charged to
// that program.
func stayAwake() (release func(), err error) {
	file, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err != nil {
		return func() {}, err
	}
	_, err = file.Write(binary.NativeEndian.AppendUint32(nil, 0))
	return func() { _ = file.Close() }, err
}

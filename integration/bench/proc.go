package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// caddyCore is the core that Caddy is pinned to.
func caddyCore() int { return runtime.NumCPU() - 1 }

// others are the cores of everything else: the load, the upstream and Vault.
func others() []int {
	var cores []int
	for core := range caddyCore() {
		cores = append(cores, core)
	}
	return cores
}

// pin keeps a process on the given cores. What the process starts afterwards
// stays on them too.
func pin(pid int, cores ...int) error {
	if len(cores) == 0 {
		return nil // one core: there is nothing to keep apart
	}
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("pinning process %d: %w", pid, err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pinning process %d: %w", pid, err)
		}
	}
	return nil
}

// processCPU is the CPU time that a process has used, user and system. It is
// the clock of the process, in nanoseconds: the figures in /proc/<pid>/stat
// come in hundredths of a second only.
func processCPU(pid int) (time.Duration, error) {
	clock := int32(^pid)<<3 | 2 // as clock_getcpuclockid(3) makes it
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// memory is what of a process is in memory, in KiB.
type memory struct {
	Resident int // now
	Peak     int // at most, since the process began or resetPeak
}

// memoryOf reads the memory of a process from /proc.
func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return parseMemory(text)
}

func parseMemory(status []byte) (memory, error) {
	var m memory
	for line := range bytes.Lines(status) {
		name, value, _ := strings.Cut(string(line), ":")
		into, ok := map[string]*int{"VmRSS": &m.Resident, "VmHWM": &m.Peak}[name]
		if !ok {
			continue
		}
		kib, found := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.Atoi(kib)
		if !found || err != nil {
			return m, fmt.Errorf("reading the memory of a process: %q is no number of kB", value)
		}
		*into = n
	}
	if m.Resident == 0 || m.Peak == 0 {
		return m, fmt.Errorf("reading the memory of a process: its status lacks VmRSS or VmHWM")
	}
	return m, nil
}

// resetPeak lets the peak of a process begin anew.
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the peak memory of process %d: %w", pid, err)
	}
	return nil
}

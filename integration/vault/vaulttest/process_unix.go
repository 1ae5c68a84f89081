//go:build unix

package vaulttest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// detach keeps the terminal's Ctrl-C, which goes to a whole process group,
// from ending the server before the program that uses it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// freeze stops a process without its noticing, and returns when it stands still:
// on a busy machine its threads go on for a moment.
func freeze(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for range 200 {
		time.Sleep(10 * time.Millisecond)
		if stopped(p.Pid) {
			return nil
		}
	}
	return errors.New("the process did not stop")
}

// stopped reports whether every thread of a process is stopped. Where the system
// does not tell, it is taken to be so.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return false
		}
		// The state follows the name, which is in parentheses.
		if _, state, found := bytes.Cut(text, []byte(") ")); found && !bytes.HasPrefix(state, []byte("T")) {
			return false
		}
	}
	return true
}

// thaw lets a process that freeze has stopped go on.
func thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }

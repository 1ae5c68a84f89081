package telemetry

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// stalledExit is how long a shutdown may wait for a log that has stalled.
const stalledExit = 10 * time.Second

var shutdownOnce sync.Once

// GuardShutdown makes SIGTERM end the process even if Caddy's own log has stalled.
// Caddy logs a line before it stops anything, and would wait for that line for ever.
func GuardShutdown() {
	shutdownOnce.Do(func() {
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		go func() {
			<-terminated
			signal.Stop(terminated)
			guardShutdown()
		}()
	})
}

func guardShutdown() {
	logged := make(chan struct{})
	go func() {
		caddy.Log().Info("stopping after SIGTERM")
		close(logged)
	}()
	select {
	case <-logged:
	case <-time.After(stalledExit):
		losses.add(report{Level: "error", Logger: "countersign", Msg: "the log has stalled; the process ends without a graceful shutdown"})
		time.Sleep(100 * time.Millisecond) // for the report
		os.Exit(caddy.ExitCodeFailedQuit)
	}
	time.Sleep(time.Second)
	if caddy.Exiting() {
		return
	}
	// This Caddy has left the signal to Go's default, which signal.Notify has
	// replaced.
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Signal(syscall.SIGTERM)
	}
}

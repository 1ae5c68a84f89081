package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// openssl runs `openssl speed` on the core that Caddy is pinned to. It returns
// the CPU time of one signature in microseconds by the name in floorTimes.
func openssl(ctx context.Context) (floorTimes, error) {
	cmd := exec.CommandContext(ctx, "openssl", "speed", "-seconds", "1", "rsa1024", "rsa2048")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := errors.Join(pin(cmd.Process.Pid, caddyCore()), cmd.Wait()); err != nil {
		return nil, fmt.Errorf("running openssl speed: %w", err)
	}
	return parseSpeed(out.String())
}

// parseSpeed reads the table that `openssl speed` ends with: the column
// sign/s, which stands at another place in OpenSSL 3.2 and later.
//
//	                  sign    verify    sign/s verify/s
//	rsa 2048 bits 0.000245s 0.000014s   4082.1  69158.6
func parseSpeed(text string) (floorTimes, error) {
	times := make(floorTimes)
	column := -1
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		for i, field := range fields {
			if field == "sign/s" {
				column = i
			}
		}
		if len(fields) < 3 || fields[0] != "rsa" || fields[2] != "bits" {
			continue
		}
		figures := fields[3:]
		if column < 0 || column >= len(figures) {
			return nil, fmt.Errorf("reading openssl speed: there is no column sign/s for %q", strings.Join(fields[:3], " "))
		}
		perSecond, err := strconv.ParseFloat(figures[column], 64)
		if err != nil || perSecond <= 0 {
			return nil, fmt.Errorf("reading openssl speed: %q is no number of signatures a second", figures[column])
		}
		times["sign"+fields[1]] = 1e6 / perSecond
	}
	for _, want := range []string{"sign1024", "sign2048"} {
		if times[want] == 0 {
			return nil, fmt.Errorf("reading openssl speed: there is no %s in what it prints", want)
		}
	}
	return times, nil
}

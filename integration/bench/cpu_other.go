//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("CPU time and memory are read as Linux gives them: run the bench on Linux")

func cpuTime(int) (time.Duration, error) { return 0, errLinux }

func stayAwake() (func(), error) { return func() {}, errLinux }

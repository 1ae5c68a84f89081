package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bareRSA measures on the measured core what an exchange with RSA needs at least,
// in microseconds of CPU time by operation: a signature and a verification, done
// with crypto/rsa and with openssl(1). Without openssl its times are 0. The
// encryption that easypay adds is not in it: a verification's worth.
func (b *bench) bareRSA(ctx context.Context, targets []*target) (map[string]float64, error) {
	found := make(map[string]float64)
	for _, t := range targets {
		name := t.operation()
		if _, done := found[name]; done || t.provider.rsaBits == 0 {
			continue
		}
		measure := b.goSpeed
		if t.bare == "openssl" {
			measure = b.opensslSpeed
		}
		var err error
		if found[name], err = measure(ctx, t.provider); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (b *bench) goSpeed(_ context.Context, p provider) (float64, error) {
	k, err := loadKeys(p.reference)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256([]byte("message"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.sign, crypto.SHA256, sum[:])
	if err != nil {
		return 0, err
	}
	both := make(chan float64)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the function
		_ = exec.Command("taskset", "-p", "-c", b.measured, strconv.Itoa(syscall.Gettid())).Run()
		both <- perCall(func() { _, _ = rsa.SignPKCS1v15(rand.Reader, k.sign, crypto.SHA256, sum[:]) }) +
			perCall(func() { _ = rsa.VerifyPKCS1v15(&k.sign.PublicKey, crypto.SHA256, sum[:], signature) })
	}()
	return <-both, nil
}

// perCall returns the CPU time of a call in microseconds. Nothing else of this
// process runs meanwhile.
func perCall(call func()) float64 {
	before, _ := cpuTime(os.Getpid())
	calls := 0
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; calls++ {
		call()
	}
	after, _ := cpuTime(os.Getpid())
	return us(after-before) / float64(calls)
}

func (b *bench) opensslSpeed(ctx context.Context, p provider) (float64, error) {
	if _, err := exec.LookPath("openssl"); err != nil {
		return 0, nil //nolint:nilerr // then there is no such figure
	}
	out, err := exec.CommandContext(ctx, "taskset", "-c", b.measured, "openssl", "speed", "-seconds", "1", fmt.Sprint("rsa", p.rsaBits)).Output()
	if err != nil {
		return 0, fmt.Errorf("running openssl speed: %w", err)
	}
	return parseSpeed(string(out))
}

// parseSpeed reads the table that `openssl speed rsa2048` ends with, and returns
// the microseconds of a signature and a verification. OpenSSL 3.2 and later have
// more columns.
//
//	                  sign    verify    sign/s verify/s
//	rsa 2048 bits 0.000245s 0.000014s   4082.1  69158.6
func parseSpeed(text string) (both float64, err error) {
	var header, figures []string
	for line := range strings.Lines(text) {
		switch fields := strings.Fields(line); {
		case slices.Contains(fields, "sign/s"):
			header = fields
		case len(fields) > 3 && strings.EqualFold(fields[0], "rsa"):
			figures = fields[3:]
		}
	}
	for _, name := range []string{"sign/s", "verify/s"} {
		i := slices.Index(header, name)
		if i < 0 || i >= len(figures) {
			return 0, fmt.Errorf("reading openssl speed: no column %s in %q", name, text)
		}
		rate, err := strconv.ParseFloat(figures[i], 64)
		if err != nil || rate <= 0 {
			return 0, fmt.Errorf("reading openssl speed: %q is not a rate", figures[i])
		}
		both += 1e6 / rate
	}
	return both, nil
}

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

// operation names the bare RSA operations of an exchange of the target, in what
// bareRSA returns.
func (t *target) operation() string {
	if t.provider.rsaBits == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d", t.bare, t.provider.rsaBits)
}

// bareRSA measures what an exchange with RSA needs at least, in microseconds of
// CPU time: a signature and a verification, and of easypay the encryption of a key
// as well, which costs as much as a verification. It is done with crypto/rsa and
// with openssl(1), on the measured core.
func (b *bench) bareRSA(ctx context.Context, targets []*target) (map[string]float64, error) {
	found := make(map[string]float64)
	for _, t := range targets {
		name := t.operation()
		if _, done := found[name]; done || name == "" {
			continue
		}
		var sign, verify float64
		var err error
		if t.bare == "openssl" {
			sign, verify, err = b.opensslSpeed(ctx, t.provider.rsaBits)
		} else {
			sign, verify, err = b.goSpeed(t.provider.rsaBits)
		}
		if err != nil {
			return nil, err
		}
		found[name] = sign + verify
		if t.provider.scheme == "easypay" {
			found[name] += verify
		}
	}
	return found, nil
}

// goSpeed measures crypto/rsa with the development keys.
func (b *bench) goSpeed(bits int) (sign, verify float64, err error) {
	i := slices.IndexFunc(providers, func(p provider) bool { return p.rsaBits == bits })
	k, err := loadKeys(providers[i].reference)
	if err != nil {
		return 0, 0, err
	}
	sum := sha256.Sum256([]byte("message"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.sign, crypto.SHA256, sum[:])
	if err != nil {
		return 0, 0, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocks it: the thread ends with the function
		_ = exec.Command("taskset", "-p", "-c", b.measured, strconv.Itoa(syscall.Gettid())).Run()
		sign = perCall(func() { _, _ = rsa.SignPKCS1v15(rand.Reader, k.sign, crypto.SHA256, sum[:]) })
		verify = perCall(func() { _ = rsa.VerifyPKCS1v15(&k.sign.PublicKey, crypto.SHA256, sum[:], signature) })
	}()
	<-done
	return sign, verify, nil
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

// opensslSpeed measures openssl(1); without it both times are 0.
func (b *bench) opensslSpeed(ctx context.Context, bits int) (sign, verify float64, err error) {
	if _, err := exec.LookPath("openssl"); err != nil {
		return 0, 0, nil // no floor is shown
	}
	out, err := exec.CommandContext(ctx, "taskset", "-c", b.measured, "openssl", "speed", "-seconds", "1", "rsa"+strconv.Itoa(bits)).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("running openssl speed: %w", err)
	}
	return parseSpeed(string(out))
}

// parseSpeed reads the table that `openssl speed rsa2048` ends with. OpenSSL 3.2
// and later have more columns.
//
//	                  sign    verify    sign/s verify/s
//	rsa 2048 bits 0.000245s 0.000014s   4082.1  69158.6
func parseSpeed(text string) (sign, verify float64, err error) {
	var header, figures []string
	for line := range strings.Lines(text) {
		switch fields := strings.Fields(line); {
		case slices.Contains(fields, "sign/s"):
			header = fields
		case len(fields) > 3 && strings.ToLower(fields[0]) == "rsa":
			figures = fields[3:]
		}
	}
	for name, into := range map[string]*float64{"sign/s": &sign, "verify/s": &verify} {
		i := slices.Index(header, name)
		if i < 0 || i >= len(figures) {
			return 0, 0, fmt.Errorf("reading openssl speed: no column %s in %q", name, text)
		}
		rate, err := strconv.ParseFloat(figures[i], 64)
		if err != nil || rate <= 0 {
			return 0, 0, fmt.Errorf("reading openssl speed: %q is not a rate", figures[i])
		}
		*into = 1e6 / rate
	}
	return sign, verify, nil
}

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/countersign/caddy-countersign/module/gm"
)

// speed is the CPU time of one signature and of one verification in microseconds.
// It is 0 where the program that computes them is not there.
type speed struct {
	Name   string  `json:"name"`
	Sign   float64 `json:"sign_us"`
	Verify float64 `json:"verify_us"`
}

// pair are a signature and a verification of the same short text.
type pair struct{ sign, verify func() error }

var errVerify = errors.New("the signature does not verify")

func rsaPair(key *rsa.PrivateKey) (pair, error) {
	sum := sha256.Sum256([]byte("message"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return pair{
		func() error { _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); return err },
		func() error { return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature) },
	}, err
}

func sm2Pair() (pair, error) {
	key, err := gm.GenerateKey()
	if err != nil {
		return pair{}, err
	}
	public, _ := key.Public().(*ecdsa.PublicKey)
	text := []byte("message")
	signature, err := gm.Sign(key, nil, text)
	return pair{
		func() error { _, err := gm.Sign(key, nil, text); return err },
		func() error {
			if !gm.Verify(public, nil, text, signature) {
				return errVerify
			}
			return nil
		},
	}, err
}

// signatures measures the algorithms alone, the sidecar's and OpenSSL's.
func (b *bench) signatures(ctx context.Context) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for _, row := range []struct {
		name    string
		measure func() (speed, error)
	}{
		{"RSA-2048", func() (speed, error) { return b.speedOf(rsaPair(key)) }},
		{"RSA-2048, OpenSSL", func() (speed, error) { return b.speedOfOpenSSL(ctx, "rsa2048") }},
		{"SM2", func() (speed, error) { return b.speedOf(sm2Pair()) }},
		{"SM2, OpenSSL", func() (speed, error) { return b.speedOfOpenSSL(ctx, "sm2") }},
	} {
		s, err := row.measure()
		if err != nil {
			return fmt.Errorf("measuring %s: %w", row.name, err)
		}
		s.Name = row.name
		b.report.Speeds = append(b.report.Speeds, s)
	}
	return nil
}

// speedOf measures a pair on the measured core.
func (b *bench) speedOf(p pair, err error) (speed, error) {
	if err == nil {
		err = errors.Join(p.sign(), p.verify())
	}
	if err != nil {
		return speed{}, err
	}
	measured := make(chan speed)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the function
		_ = exec.Command("taskset", "-p", "-c", b.measured, strconv.Itoa(syscall.Gettid())).Run()
		measured <- speed{Sign: perCall(func() { _ = p.sign() }), Verify: perCall(func() { _ = p.verify() })}
	}()
	return <-measured, nil
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

// speedOfOpenSSL has openssl(1) measure its algorithm on the measured core.
func (b *bench) speedOfOpenSSL(ctx context.Context, algorithm string) (speed, error) {
	if _, err := exec.LookPath("openssl"); err != nil {
		return speed{}, nil //nolint:nilerr // then there is no such figure
	}
	out, err := exec.CommandContext(ctx, "taskset", "-c", b.measured, "openssl", "speed", "-seconds", "1", algorithm).Output()
	if err != nil {
		return speed{}, fmt.Errorf("running openssl speed %s: %w", algorithm, err)
	}
	return parseSpeed(string(out))
}

// parseSpeed reads the table that `openssl speed` ends with. A row has as many
// figures as the header has columns, behind a name of several words. OpenSSL 3.2
// and later have more columns.
//
//	                  sign    verify    sign/s verify/s
//	rsa 2048 bits 0.000245s 0.000014s   4082.1  69158.6
func parseSpeed(text string) (s speed, err error) {
	var header, figures []string
	for line := range strings.Lines(text) {
		switch fields := strings.Fields(line); {
		case slices.Contains(fields, "sign/s"):
			header = fields
		case header != nil && len(fields) > len(header):
			figures = fields[len(fields)-len(header):]
		}
	}
	into := []*float64{&s.Sign, &s.Verify}
	for n, name := range []string{"sign/s", "verify/s"} {
		i := slices.Index(header, name)
		if i < 0 || i >= len(figures) {
			return speed{}, fmt.Errorf("reading openssl speed: no column %s in %q", name, text)
		}
		rate, err := strconv.ParseFloat(figures[i], 64)
		if err != nil || rate <= 0 {
			return speed{}, fmt.Errorf("reading openssl speed: %q is not a rate", figures[i])
		}
		*into[n] = 1e6 / rate
	}
	return s, nil
}

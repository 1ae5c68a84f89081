package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/countersign/caddy-countersign/module/keys"
)

// floorTimes is the CPU time of the bare cryptographic operations that an
// exchange cannot do without, in microseconds, by the name in
// provider.operation.
type floorTimes map[string]float64

// operationSpan is how long each bare operation is repeated in a slice, after a
// third of that time that does not count.
const operationSpan = 10 * time.Millisecond

// floors measure the bare operations with bodies of one size, in the slices of a
// round: in processes of their own, on the core that Caddy is pinned to.
type floors struct {
	asked  map[string]*floorProcess // by the binary
	rates  map[string]floorTimes    // the sums of how many there were in a microsecond
	slices int
}

// startFloors starts the processes for all flavours. They end with the measurement.
func (b *bench) startFloors(ctx context.Context, kib int) (*floors, error) {
	f := &floors{asked: make(map[string]*floorProcess)}
	for _, flavour := range b.flavours {
		for _, binary := range flavour.bare {
			p, err := b.startFloor(ctx, binary, kib)
			if err != nil {
				return nil, fmt.Errorf("measuring the bare operations in the flavour %s: %w", flavour.name, err)
			}
			f.asked[binary] = p
		}
	}
	return f, nil
}

// begin begins a round.
func (f *floors) begin() { f.slices, f.rates = 0, make(map[string]floorTimes) }

// slice measures each operation once, for a moment.
func (f *floors) slice() error {
	f.slices++
	for binary, process := range f.asked {
		times, err := process.ask()
		if err != nil {
			return fmt.Errorf("measuring the bare operations: %w", err)
		}
		f.add(binary, times)
	}
	return nil
}

func (f *floors) add(binary string, times floorTimes) {
	if f.rates[binary] == nil {
		f.rates[binary] = make(floorTimes)
	}
	for operation, micros := range times {
		f.rates[binary][operation] += 1 / micros
	}
}

// of is what each operation took in a flavour, by the faster binary. The mean is the
// harmonic one, as that of the exchanges is: in slices of the same length there are
// more of those that take less.
func (f *floors) of(l *flavour) floorTimes {
	least := make(floorTimes)
	for _, binary := range l.bare {
		for operation, rate := range f.rates[binary] {
			mean := float64(f.slices) / rate
			if before, ok := least[operation]; !ok || mean < before {
				least[operation] = mean
			}
		}
	}
	return least
}

// floorProcess is a process that measures the bare operations when it is asked.
type floorProcess struct {
	questions io.Writer
	answers   *json.Decoder
}

func (b *bench) startFloor(ctx context.Context, binary string, kib int) (*floorProcess, error) {
	cmd := exec.CommandContext(ctx, binary, "-role", "floor", "-kib", strconv.Itoa(kib))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	questions, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.stop = append(b.stop, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &floorProcess{questions, json.NewDecoder(answers)}
	_, err = p.ask() // from now on all its threads are there
	return p, errors.Join(err, pin(cmd.Process.Pid, caddyCore()))
}

// ask has the process measure once.
func (p *floorProcess) ask() (times floorTimes, err error) {
	if _, err := p.questions.Write([]byte("\n")); err != nil {
		return nil, err
	}
	return times, p.answers.Decode(&times)
}

// answerFloor is that process.
func answerFloor(kib int) error {
	small, err := merchantSet("easypay/ORG000000000007")
	if err != nil {
		return err
	}
	large, err := merchantSet("hongwen/2014072300007148")
	if err != nil {
		return err
	}
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		times, err := bareOperations(small, large, make([]byte, kib<<10))
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(times); err != nil {
			return err
		}
	}
	return questions.Err()
}

// merchantSet is a development key set, made by the package that makes the
// sidecar's: what is measured is what signs there.
func merchantSet(reference string) (*keys.Set, error) {
	material := make(keys.Material)
	for _, role := range []keys.Role{keys.Sign, keys.Verify, keys.Encrypt} {
		path := filepath.Join("keys-dev/merchant", reference, string(role)+".pem")
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		material[role] = keys.Value{Text: text, Origin: path}
	}
	return keys.Parse(reference, "", material)
}

// bareOperations measures what an exchange of each kind needs at least with
// bodies like message: a request is signed and an answer is verified.
func bareOperations(small, large *keys.Set, message []byte) (floorTimes, error) {
	sign := func(set *keys.Set) ([]byte, error) {
		digest := sha256.Sum256(message)
		return set.Sign.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	verify := func(set *keys.Set) func() {
		sig := bytes.Repeat([]byte{0x5a}, set.Verify[0].RSA.Size()) // a wrong one costs the same,
		sig[0] = 0                                                  // if it is a number below the modulus
		return func() {
			digest := sha256.Sum256(message)
			_ = rsa.VerifyPKCS1v15(set.Verify[0].RSA, crypto.SHA256, digest[:], sig)
		}
	}
	for _, set := range []*keys.Set{small, large} { // a failure would be fast
		if _, err := sign(set); err != nil {
			return nil, fmt.Errorf("signing with %s: %w", set.Sign.Origin, err)
		}
	}
	block, err := aes.NewCipher(message[:32])
	if err != nil {
		return nil, err
	}
	encrypted := make([]byte, len(message))
	sign1024 := perCall(func() { _, _ = sign(small) })
	sign2048 := perCall(func() { _, _ = sign(large) })
	verify2048 := perCall(verify(large))
	return floorTimes{
		"sign1024": sign1024, "sign2048": sign2048, "verify2048": verify2048,
		"rsa2048": sign2048 + verify2048,
		"md5":     2 * perCall(func() { md5.Sum(message) }),
		"hmac": 2 * perCall(func() {
			h := hmac.New(sha256.New, message[:32])
			h.Write(message)
			h.Sum(nil)
		}),
		"easypay": sign1024 + perCall(verify(small)) +
			perCall(func() { _, _ = rsa.EncryptPKCS1v15(rand.Reader, small.Encrypt.RSA, message[:32]) }) + //nolint:staticcheck // what easypay 易生 demands
			perCall(func() {
				for i := 0; i < len(message); i += aes.BlockSize {
					block.Encrypt(encrypted[i:], message[i:])
				}
			}),
	}, nil
}

// perCall is the CPU time of one call in microseconds.
func perCall(f func()) float64 {
	repeat(f, operationSpan/3)
	before, _ := processCPU(os.Getpid())
	calls := repeat(f, operationSpan)
	after, _ := processCPU(os.Getpid())
	return us(after-before) / float64(calls)
}

// repeat calls f for so long, and tells how often it did.
func repeat(f func(), span time.Duration) (calls int) {
	for start := time.Now(); time.Since(start) < span; calls += 5 {
		for range 5 {
			f()
		}
	}
	return calls
}

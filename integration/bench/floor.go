package main

import (
	"crypto"
	"crypto/aes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"os"
	"time"
)

// floorTimes is the CPU time of the bare cryptographic operations that an
// exchange cannot do without, in microseconds, by the name in target.floorOps.
type floorTimes map[string]float64

// printFloor measures them. It runs as a process of its own, pinned to the core
// that Caddy is pinned to and built in the same flavour.
func printFloor() error {
	small, err := privateKey(devKeys + "/easypay/ORG000000000007/sign.pem")
	if err != nil {
		return err
	}
	large, err := privateKey(devKeys + "/hongwen/2014072300007148/sign.pem")
	if err != nil {
		return err
	}
	message := make([]byte, 1<<10)
	digest := sha256.Sum256(message)
	sigSmall, err := rsa.SignPKCS1v15(rand.Reader, small, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	sigLarge, err := rsa.SignPKCS1v15(rand.Reader, large, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return err
	}
	sign := func(key *rsa.PrivateKey) {
		d := sha256.Sum256(message)
		_, _ = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, d[:])
	}
	verify := func(key *rsa.PrivateKey, sig []byte) {
		d := sha256.Sum256(message)
		_ = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, d[:], sig)
	}
	out := make([]byte, len(message))
	times := floorTimes{
		"md5": 2 * each(func() { md5.Sum(message) }),
		"hmac": 2 * each(func() {
			h := hmac.New(sha256.New, message[:32])
			h.Write(message)
			h.Sum(nil)
		}),
		"rsa2048": each(func() { sign(large) }) + each(func() { verify(large, sigLarge) }),
		"easypay": each(func() { sign(small) }) + each(func() { verify(small, sigSmall) }) +
			each(func() { _, _ = rsa.EncryptPKCS1v15(rand.Reader, &small.PublicKey, message[:32]) }) + //nolint:staticcheck // what easypay demands
			each(func() {
				for i := 0; i < len(message); i += 16 {
					block.Encrypt(out[i:], message[i:])
				}
			}),
		"sign1024": each(func() { sign(small) }),
		"sign2048": each(func() { sign(large) }),
	}
	return json.NewEncoder(os.Stdout).Encode(times)
}

// each is the CPU time of one call, in microseconds.
func each(f func()) float64 {
	for range 20 {
		f()
	}
	n := 0
	before := processCPU(os.Getpid())
	for start := time.Now(); time.Since(start) < 400*time.Millisecond; {
		for range 20 {
			f()
		}
		n += 20
	}
	return float64((processCPU(os.Getpid()) - before).Nanoseconds()) / float64(n) / 1000
}

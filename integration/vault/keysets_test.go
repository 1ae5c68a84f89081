package vault_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
)

// The keys of the tests. Making one takes a while, so they are made once.
var (
	merchantSign    = newKey(2048)
	merchantDecrypt = newKey(2048)
	providerSign    = newKey(2048)
	providerDecrypt = newKey(2048)
	smallSign       = newKey(1024)
)

func newKey(bits int) func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		return key
	})
}

func privatePEM(keys ...*rsa.PrivateKey) string {
	var out strings.Builder
	for _, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return out.String()
}

func publicPEM(keys ...*rsa.PrivateKey) string {
	var out strings.Builder
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			panic(err)
		}
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return out.String()
}

func fingerprint(key *rsa.PrivateKey) string { return fingerprintOf(&key.PublicKey) }

func fingerprintOf(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(der))
}

// The references. Each is a mode: where its private keys are.
const (
	inKV      = "easypay/kv"
	inTransit = "easypay/transit"
	mixed     = "easypay/mixed" // signs in Transit, decrypts with a key from KV
	withMD5   = "jeepay/md5"
)

const md5Secret = "md5-secret-that-nobody-may-see"

// paths are where the application posts, by reference.
var paths = map[string]string{
	inKV:      "/kv/ledger/mpos?envelope=own",
	inTransit: "/transit/ledger/mpos?envelope=own",
	mixed:     "/mixed/ledger/mpos?envelope=own",
	withMD5:   "/md5/api/division/exec",
}

// fields returns the secrets of the references as they stand in Vault.
func fields() map[string]map[string]string {
	kv := map[string]string{
		"sign": privatePEM(merchantSign()), "decrypt": privatePEM(merchantDecrypt()),
		"verify": publicPEM(providerSign()), "encrypt": publicPEM(providerDecrypt()),
	}
	with := func(changes ...string) map[string]string {
		out := make(map[string]string)
		for role, value := range kv {
			out[role] = value
		}
		for i := 0; i < len(changes); i += 2 {
			out[changes[i]] = changes[i+1]
		}
		return out
	}
	return map[string]map[string]string{
		inKV:      kv,
		inTransit: with("sign", "transit:signing/shop-sign", "decrypt", "transit:signing/shop-decrypt"),
		mixed:     with("sign", "transit:signing/shop-sign"),
		withMD5:   {"secret": md5Secret},
	}
}

//go:build fastrsa

// Package libcrypto lets the system's OpenSSL compute with RSA private keys: it
// takes about a third of the time that Go's own implementation takes. Nothing
// here is cryptography, it is the way to OpenSSL's and back. The package exists
// under the build tag fastrsa only, and needs cgo. It needs OpenSSL 3 neither to
// be built nor to start: Load looks for the library when the program runs.
package libcrypto

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>

// What OpenSSL 3 declares in <openssl/evp.h>, <openssl/err.h>, <openssl/rsa.h> and
// <openssl/crypto.h>. Its functions keep their form for all of version 3.
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;
typedef struct evp_md_st EVP_MD;
typedef struct engine_st ENGINE;

#define EVP_PKEY_RSA 6
#define RSA_PKCS1_PADDING 1
#define OPENSSL_VERSION 0

static struct {
	const char *(*OpenSSL_version)(int);
	unsigned int (*OPENSSL_version_major)(void);
	unsigned long (*ERR_peek_error)(void);
	void (*ERR_clear_error)(void);
	const char *(*ERR_reason_error_string)(unsigned long);
	EVP_PKEY *(*d2i_PrivateKey)(int, EVP_PKEY **, const unsigned char **, long);
	void (*EVP_PKEY_free)(EVP_PKEY *);
	EVP_PKEY_CTX *(*EVP_PKEY_CTX_new)(EVP_PKEY *, ENGINE *);
	void (*EVP_PKEY_CTX_free)(EVP_PKEY_CTX *);
	int (*EVP_PKEY_CTX_set_rsa_padding)(EVP_PKEY_CTX *, int);
	int (*EVP_PKEY_CTX_set_signature_md)(EVP_PKEY_CTX *, const EVP_MD *);
	const EVP_MD *(*EVP_sha256)(void);
	int (*EVP_PKEY_sign_init)(EVP_PKEY_CTX *);
	int (*EVP_PKEY_sign)(EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
	int (*EVP_PKEY_decrypt_init)(EVP_PKEY_CTX *);
	int (*EVP_PKEY_decrypt)(EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
} ssl;

// find loads the library and looks up its functions. It returns NULL or the
// reason of a failure.
static const char *find(const char *file) {
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		return dlerror();
	const struct { const char *name; void **at; } functions[] = {
#define FUNCTION(name) { #name, (void **)&ssl.name }
		FUNCTION(OpenSSL_version), FUNCTION(OPENSSL_version_major), FUNCTION(ERR_peek_error), FUNCTION(ERR_clear_error),
		FUNCTION(ERR_reason_error_string), FUNCTION(d2i_PrivateKey), FUNCTION(EVP_PKEY_free), FUNCTION(EVP_PKEY_CTX_new),
		FUNCTION(EVP_PKEY_CTX_free), FUNCTION(EVP_PKEY_CTX_set_rsa_padding), FUNCTION(EVP_PKEY_CTX_set_signature_md),
		FUNCTION(EVP_sha256), FUNCTION(EVP_PKEY_sign_init), FUNCTION(EVP_PKEY_sign), FUNCTION(EVP_PKEY_decrypt_init),
		FUNCTION(EVP_PKEY_decrypt),
	};
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
		if ((*functions[i].at = dlsym(library, functions[i].name)) == NULL)
			return dlerror();
	return ssl.OPENSSL_version_major() == 3 ? NULL : "it is not version 3 of OpenSSL";
}

static const char *version(void) { return ssl.OpenSSL_version(OPENSSL_VERSION); }

static void release(EVP_PKEY *key) { ssl.EVP_PKEY_free(key); }

// outcome returns NULL or the reason of a failure, a constant of the library.
// It empties the list of errors: that belongs to the thread, and the goroutine
// may be on another thread in its next call.
static const char *outcome(int ok) {
	const char *reason = ok ? NULL : ssl.ERR_reason_error_string(ssl.ERR_peek_error());
	ssl.ERR_clear_error();
	return ok || reason != NULL ? reason : "no reason given";
}

static const char *load(EVP_PKEY **key, const unsigned char *der, long length) {
	*key = ssl.d2i_PrivateKey(EVP_PKEY_RSA, NULL, &der, length);
	return outcome(*key != NULL);
}

static const char *sign(EVP_PKEY *key, unsigned char *out, size_t size, const unsigned char *digest, size_t length) {
	EVP_PKEY_CTX *ctx = ssl.EVP_PKEY_CTX_new(key, NULL);
	size_t written = size;
	int ok = ctx != NULL
		&& ssl.EVP_PKEY_sign_init(ctx) > 0
		&& ssl.EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0
		&& ssl.EVP_PKEY_CTX_set_signature_md(ctx, ssl.EVP_sha256()) > 0
		&& ssl.EVP_PKEY_sign(ctx, out, &written, digest, length) > 0
		&& written == size;
	ssl.EVP_PKEY_CTX_free(ctx);
	return outcome(ok);
}

static const char *decrypt(EVP_PKEY *key, unsigned char *out, size_t *size, const unsigned char *sealed, size_t length) {
	EVP_PKEY_CTX *ctx = ssl.EVP_PKEY_CTX_new(key, NULL);
	int ok = ctx != NULL
		&& ssl.EVP_PKEY_decrypt_init(ctx) > 0
		&& ssl.EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0
		&& ssl.EVP_PKEY_decrypt(ctx, out, size, sealed, length) > 0;
	ssl.EVP_PKEY_CTX_free(ctx);
	return outcome(ok);
}
*/
import "C"

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"runtime"
	"sync"
	"unsafe"
)

// File is the name of the library, which the system's loader looks for.
const File = "libcrypto.so.3"

// Load finds the library. It fails where the machine has none, or another version.
var Load = sync.OnceValue(func() error { return find(File) })

func find(file string) error {
	name := append([]byte(file), 0)
	if reason := C.find((*C.char)(unsafe.Pointer(unsafe.SliceData(name)))); reason != nil {
		return fmt.Errorf("loading %s: %s", file, C.GoString(reason))
	}
	return nil
}

// Version returns what the library calls itself, such as "OpenSSL 3.0.19 27 Jan 2026", or
// "" where Load fails.
func Version() string {
	if Load() != nil {
		return ""
	}
	return C.GoString(C.version())
}

// PrivateKey is an RSA private key inside the library. It may be used by any
// number of goroutines at once. What the library is not asked for here (other
// digests and paddings than the providers use) the Go key does.
type PrivateKey struct {
	key    *rsa.PrivateKey
	handle *C.EVP_PKEY
}

var (
	_ crypto.Signer    = (*PrivateKey)(nil)
	_ crypto.Decrypter = (*PrivateKey)(nil)
)

// New hands a key to the library, and has it sign once: what it signs must
// verify with Go's own implementation. It fails if the library does not take the
// key, as one in FIPS mode does not take RSA-1024.
func New(key *rsa.PrivateKey) (*PrivateKey, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("checking the key: %w", err)
	}
	der := x509.MarshalPKCS1PrivateKey(key)
	defer clear(der)
	k := &PrivateKey{key: key}
	if err := failure(C.load(&k.handle, pointer(der), C.long(len(der)))); err != nil {
		return nil, fmt.Errorf("handing the key to %s: %w", Version(), err)
	}
	runtime.AddCleanup(k, func(handle *C.EVP_PKEY) { C.release(handle) }, k.handle)

	digest := sha256.Sum256(nil)
	sig, err := k.Sign(nil, digest[:], crypto.SHA256)
	if err == nil {
		err = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig)
	}
	if err != nil {
		return nil, fmt.Errorf("trying the key in %s: %w", Version(), err)
	}
	return k, nil
}

// Public returns the public half, an *rsa.PublicKey.
func (k *PrivateKey) Public() crypto.PublicKey { return k.key.Public() }

// Sign signs a digest. SHA-256 with PKCS #1 v1.5 is the library's.
func (k *PrivateKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return k.key.Sign(random, digest, opts)
	}
	out := make([]byte, k.key.Size())
	err := failure(C.sign(k.handle, pointer(out), C.size_t(len(out)), pointer(digest), C.size_t(len(digest))))
	runtime.KeepAlive(k)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Decrypt opens what was encrypted for the key. PKCS #1 v1.5 is the library's. Its
// error is rsa.ErrDecryption whatever the cause; or there is none, and what it returns
// is as good as random: OpenSSL 3.2 and later answer a wrong padding that way, so that
// its use does not differ from that of a good one.
func (k *PrivateKey) Decrypt(random io.Reader, sealed []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if options, ok := opts.(*rsa.PKCS1v15DecryptOptions); opts != nil && (!ok || options.SessionKeyLen != 0) {
		return k.key.Decrypt(random, sealed, opts)
	}
	out := make([]byte, k.key.Size())
	size := C.size_t(len(out))
	err := failure(C.decrypt(k.handle, pointer(out), &size, pointer(sealed), C.size_t(len(sealed))))
	runtime.KeepAlive(k)
	if err != nil {
		return nil, rsa.ErrDecryption
	}
	return out[:size], nil
}

func failure(reason *C.char) error {
	if reason == nil {
		return nil
	}
	return fmt.Errorf("libcrypto: %s", C.GoString(reason))
}

func pointer(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }

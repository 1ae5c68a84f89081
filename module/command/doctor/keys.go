package doctor

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/cipher"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// checkSets checks each key set.
func (e *examination) checkSets() {
	for _, name := range e.names {
		set := e.loaded[name]
		e.checkPairs(set)
		e.checkExpiry(set)
		if !servesSandbox(set) {
			e.checkSizes(set)
		}
	}
}

// checkPairs tries each private key on its own public half, and finds own
// public keys in the place of the provider's.
func (e *examination) checkPairs(set *loadedSet) {
	const check = "key pair"
	if k := set.Sign; k != nil {
		if err := trySigning(k); err != nil {
			e.failure(check, set.name+" sign", err.Error(), i18n.Sprintf("the private key does not belong to its public half, or may not be used: look at the source"))
		} else {
			e.ok(check, set.name+" sign", i18n.Sprintf("what it signs verifies"))
		}
	}
	for i, k := range set.Decrypt {
		subject := set.name + " decrypt"
		if len(set.Decrypt) > 1 {
			subject = fmt.Sprintf("%s %d", subject, i+1)
		}
		if !opensEnvelope(k) {
			e.failure(check, subject, i18n.Sprintf("it does not open an envelope for its own public half"), i18n.Sprintf("the private key does not belong to its public half, or may not be used: look at the source"))
		} else {
			e.ok(check, subject, i18n.Sprintf("it opens an envelope for its public half"))
		}
	}
	if servesSandbox(set) {
		return
	}
	own := slices.Concat(set.Fingerprints(keys.Sign), set.Fingerprints(keys.Decrypt))
	for _, role := range []keys.Role{keys.Verify, keys.Encrypt} {
		for _, fingerprint := range set.Fingerprints(role) {
			if slices.Contains(own, fingerprint) {
				reason := i18n.Sprintf("it holds your own public key, where the provider's belongs: no answer of the provider would verify")
				if role == keys.Encrypt {
					reason = i18n.Sprintf("it holds your own public key, where the provider's belongs: the provider could not decrypt what you send")
				}
				e.failure(check, set.name+" "+string(role), reason, i18n.Sprintf("put the key there that the provider has given you; yours is the one that you upload to the provider"))
			}
		}
	}
	// Two public keys of the provider, or two private keys of the merchant: nothing on
	// this machine shows whether they are exchanged.
	for _, pair := range [][2]keys.Role{{keys.Verify, keys.Encrypt}, {keys.Sign, keys.Decrypt}} {
		first, second := set.Fingerprints(pair[0]), set.Fingerprints(pair[1])
		if len(first) > 0 && len(second) > 0 && !slices.Contains(first, second[0]) {
			e.ok(check, fmt.Sprintf("%s %s, %s", set.name, pair[0], pair[1]), i18n.Sprintf("%s is %s and %s is %s: only the provider's console tells whether they have changed places; compare the fingerprints", pair[0], strings.Join(first, ", "), pair[1], second[0]))
		}
	}
}

// The algorithm and the cipher with which a key of each kind is tried.
var (
	signsWith   = map[string]string{keys.KindRSA: "rsa-sha256", keys.KindECDSA: "ecdsa-sha256", keys.KindEd25519: "ed25519", keys.KindSM2: "sm2"}
	decryptWith = map[string]string{keys.KindRSA: "rsa-pkcs1", keys.KindSM2: "sm2"}
)

// trySigning returns why a key does not sign for its own public half.
func trySigning(k *keys.PrivateKey) error {
	a, err := algorithm.Named(signsWith[k.Kind])
	if err != nil {
		return err
	}
	text := []byte("caddy countersign doctor")
	sig, err := a.Sign(k.Signer, text, algorithm.Options{})
	if err != nil {
		return i18n.Errorf("%s: %w", k.Origin, err)
	}
	if !a.Verify(k.Key, text, sig, algorithm.Options{}) {
		return i18n.Errorf("%s: what it signs does not verify", k.Origin)
	}
	return nil
}

// opensEnvelope reports whether a key opens what is encrypted under its own
// public half.
func opensEnvelope(k *keys.PrivateKey) bool {
	c, err := cipher.Named(decryptWith[k.Kind])
	if err != nil {
		return false
	}
	key := cipher.NewKey("ascii", 32)
	wrapped, err := c.EncryptTo(k.Key, key, cipher.Params{})
	if err != nil {
		return false
	}
	opened, err := c.DecryptWith(k.Decrypter, wrapped, cipher.Params{})
	return err == nil && bytes.Equal(opened, key)
}

func servesSandbox(set *loadedSet) bool {
	return slices.ContainsFunc(set.uses, func(u *use) bool { return u.kind == isSandbox })
}

// checkSizes finds RSA keys that are smaller than they should be.
func (e *examination) checkSizes(set *loadedSet) {
	small, all := set.SmallRSA(), 0
	for _, role := range set.Roles() {
		for _, info := range set.Info(role) {
			if info.Kind == keys.KindRSA { // SM2, ECDSA and Ed25519 keys have one size
				all++
			}
		}
	}
	switch {
	case len(small) > 0:
		e.warning("key size", set.name, i18n.Sprintf("RSA keys below 2048 bits: %s", strings.Join(small, ", ")), i18n.Sprintf("ask the provider for keys of 2048 bits; some have smaller ones in their test environment only"))
	case all > 0:
		e.ok("key size", set.name, i18n.Sprintf("all RSA keys have 2048 bits or more"))
	}
}

// checkExpiry checks the validity of the certificates of a set. A certificate that is
// not valid is a warning, not a failure, if another certificate of its role is valid.
func (e *examination) checkExpiry(set *loadedSet) {
	const check = "certificate"
	now := e.now()
	certificates := set.Certificates()
	for _, c := range certificates {
		subject := set.name + " " + string(c.Role)
		state := c.At(now)
		words := i18n.Sprintf("%s: %s", c.Name(), c.Words(now))
		other := slices.ContainsFunc(certificates, func(o keys.Certificate) bool {
			at := o.At(now)
			return o.Role == c.Role && o.Own == c.Own && o.Authority == c.Authority && (at == keys.Valid || at == keys.ExpiresSoon)
		})
		switch {
		case state == keys.Valid:
			e.ok(check, subject, words)
		case state == keys.ExpiresSoon || other:
			e.warning(check, subject, words, c.Advice(now).String())
		default:
			e.failure(check, subject, words, c.Advice(now).String())
		}
	}
}

// expiry checks the validity of the certificate of a connection.
func (e *examination) expiry(check, subject string, certificate *x509.Certificate, advice string) {
	c, _ := keys.ReadCertificate(certificate.Raw)
	words := i18n.Sprintf("the certificate %q, serial %s, issued by %q: %s", c.Subject, c.Serial, c.Issuer, c.Words(e.now()))
	switch c.At(e.now()) {
	case keys.Valid:
		e.ok(check, subject, words)
	case keys.ExpiresSoon:
		e.warning(check, subject, words, advice)
	default:
		e.failure(check, subject, words, advice)
	}
}

// checkSides compares the keys of the sidecar with those of a sandbox in the
// same configuration: what one signs the other must verify.
func (e *examination) checkSides() {
	for _, name := range e.names {
		for _, other := range e.names {
			ours, theirs := e.loaded[name], e.loaded[other]
			if ours.Reference == theirs.Reference && servesSandbox(theirs) && !servesSandbox(ours) {
				e.checkSide(ours, theirs)
			}
		}
	}
}

func (e *examination) checkSide(ours, theirs *loadedSet) {
	subject := i18n.Sprintf("%s and %s", ours.name, theirs.name)
	before := len(e.findings)
	for _, pair := range []struct {
		private, public *loadedSet
		own, peer       keys.Role
	}{
		{ours, theirs, keys.Sign, keys.Verify},
		{theirs, ours, keys.Sign, keys.Verify},
		{ours, theirs, keys.Decrypt, keys.Encrypt},
		{theirs, ours, keys.Decrypt, keys.Encrypt},
		{ours, theirs, keys.SharedSecret, keys.SharedSecret},
	} {
		own, peer := pair.private.Fingerprints(pair.own), pair.public.Fingerprints(pair.peer)
		if len(own) > 0 && len(peer) > 0 && !slices.ContainsFunc(own, func(f string) bool { return slices.Contains(peer, f) }) {
			e.failure("key pair", subject, i18n.Sprintf("%s of %s does not belong to %s of %s", pair.own, pair.private.name, pair.peer, pair.public.name), i18n.Sprintf("give each side the public half of the other's private key"))
		}
	}
	if len(e.findings) == before {
		e.ok("key pair", subject, i18n.Sprintf("the keys of both sides belong together"))
	}
}

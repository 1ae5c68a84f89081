package app

import (
	"crypto/sha256"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
)

// maxCertificates is how many certificates of a source are remembered as logged:
// requests can name any number of key sets.
const maxCertificates = 4096

// certificates suppresses repeated log lines about the certificates of one source. A
// set is checked at each refresh, and many sets may hold the same certificate: each
// certificate is logged once for each state.
type certificates struct {
	mu   sync.Mutex
	said map[[sha256.Size]byte]keys.Validity
}

// look logs the certificates of a set that have expired, expire soon or are not valid
// yet. They are used nevertheless: a provider may go on to sign with the key of an
// expired certificate.
func (c *certificates) look(terms keysource.Terms, set *keys.Set, now time.Time) {
	for _, certificate := range set.Certificates() {
		if !c.admit(certificate, now) {
			continue
		}
		log := logger().Warn
		if certificate.At(now) == keys.Expired {
			log = logger().Error
		}
		log("a certificate "+headlines[certificate.At(now)],
			zap.String("source", terms.Label()), zap.String("reference", set.Reference), zap.String("role", string(certificate.Role)),
			zap.String("origin", certificate.Origin), zap.Stringer("certificate", certificate.Name()), zap.String("state", string(certificate.At(now))),
			zap.Time("not_before", certificate.Starts.UTC()), zap.Time("not_after", certificate.Until.UTC()),
			zap.Stringer("advice", certificate.Advice(now)))
	}
}

var headlines = map[keys.Validity]string{
	keys.Expired:     "has expired",
	keys.NotYet:      "is not valid yet",
	keys.ExpiresSoon: "expires soon",
}

// admit reports whether the state of a certificate is to be logged now.
func (c *certificates) admit(certificate keys.Certificate, now time.Time) bool {
	state := certificate.At(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == keys.Valid {
		delete(c.said, certificate.Digest)
		return false
	}
	if c.said[certificate.Digest] == state {
		return false
	}
	if c.said == nil || len(c.said) >= maxCertificates {
		c.said = make(map[[sha256.Size]byte]keys.Validity)
	}
	c.said[certificate.Digest] = state
	return true
}

package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
)

const (
	// certLook is how often the files of a client certificate are read. They are used
	// when two reads agree, so that a half-written file is not used.
	certLook = time.Second

	// certDrain is for how long after a change idle connections are closed: one that
	// is in use at the change has shown the old certificate.
	certDrain = time.Minute
)

// clientCert is the certificate for mTLS and its key, which are read again when the
// files change. Caddy reads them once, and a reload of an unchanged Caddyfile does not
// read them again.
type clientCert struct {
	certFile, keyFile string
	transport         *Transport
	logger            *zap.Logger

	current atomic.Pointer[tls.Certificate]
	stop    chan struct{}
	stopped chan struct{}

	used, pending, refused [sha256.Size]byte // digests of both files, as they are used, were last seen, cannot be used
}

// watchClientCert makes connections to the provider use the certificate that the files
// hold now. It returns nil if http { tls_client_auth } names no files.
func (t *Transport) watchClientCert() (*clientCert, error) {
	config := t.HTTP.TLS
	if config == nil || config.ClientCertificateFile == "" || t.HTTP.Transport.TLSClientConfig == nil {
		return nil, nil //nolint:nilnil // there is nothing to watch
	}
	base := t.HTTP.Transport
	c := &clientCert{
		certFile: config.ClientCertificateFile, keyFile: config.ClientCertificateKeyFile,
		transport: t, logger: t.logger.With(zap.String("profile", t.Profile)),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	cert, sum, err := c.read()
	if err != nil {
		return nil, i18n.Errorf("loading the client certificate: %w", err)
	}
	c.current.Store(cert)
	c.used, c.pending = sum, sum
	base.TLSClientConfig.GetClientCertificate = c.choose
	return c, nil
}

// choose returns the certificate, or an empty one if the server does not accept its
// type, as crypto/tls does.
func (c *clientCert) choose(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert := c.current.Load()
	if request.SupportsCertificate(cert) != nil {
		return new(tls.Certificate), nil //nolint:nilerr // no certificate is an answer
	}
	return cert, nil
}

func (c *clientCert) watch() {
	defer close(c.stopped)
	tick := time.NewTicker(certLook)
	defer tick.Stop()
	var drainUntil time.Time
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		if c.look() {
			drainUntil = time.Now().Add(certDrain)
			c.transport.h2.close()
		}
		if time.Now().Before(drainUntil) {
			c.transport.HTTP.Transport.CloseIdleConnections()
		}
	}
}

// look uses the files if they have changed, and reports whether it did. If the files
// cannot be used, the old certificate stays in use.
func (c *clientCert) look() bool {
	cert, sum, err := c.read()
	still := sum == c.pending
	c.pending = sum
	if sum == c.used || !still || sum == c.refused {
		return false
	}
	if err != nil {
		c.refused = sum
		c.logger.Warn("the client certificate has changed and cannot be used; the previous one stays in use: correct the files",
			zap.String("certificate", c.certFile), zap.String("key", c.keyFile), zap.Error(err))
		return false
	}
	c.used, c.refused = sum, [sha256.Size]byte{}
	c.current.Store(cert)
	c.logger.Info("client certificate replaced", zap.String("certificate", c.certFile),
		zap.String("serial", cert.Leaf.SerialNumber.Text(16)), zap.Time("not_after", cert.Leaf.NotAfter))
	return true
}

// read reads both files. The digest is that of their content, or of the error.
func (c *clientCert) read() (*tls.Certificate, [sha256.Size]byte, error) {
	chain, err := os.ReadFile(c.certFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	defer clear(key)
	both := make([]byte, 0, len(chain)+1+len(key))
	both = append(append(append(both, chain...), 0), key...)
	defer clear(both)
	sum := sha256.Sum256(both)
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, sum, err
	}
	return &cert, sum, nil
}

// close ends the watching.
func (c *clientCert) close() {
	if c != nil {
		close(c.stop)
		<-c.stopped
	}
}

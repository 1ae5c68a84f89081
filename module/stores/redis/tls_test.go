package redis

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/stores"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
)

// A server with TLS is reached if its certificate verifies, and not otherwise.
func TestTLS(t *testing.T) {
	server := redistest.Start(t)
	certificate := httptest.NewTLSServer(nil) // for 127.0.0.1
	defer certificate.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificate.TLS.Certificates})
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			front, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer front.Close()
				back, err := net.Dial("tcp", server.Address)
				if err != nil {
					return
				}
				defer back.Close()
				go func() { _, _ = io.Copy(back, front); _ = back.Close() }()
				_, _ = io.Copy(front, back)
			}()
		}
	}()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate().Raw}), 0o600))

	s := provisioned(t, &Store{Address: "rediss://" + ln.Addr().String(), CA: ca})
	st, _, err := s.Claim(t.Context(), "key", "a", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, stores.Claimed, st)
	require.NoError(t, s.Release(t.Context(), "key", "a"))

	patient := &Store{Address: "rediss://" + ln.Addr().String(), Timeout: caddy.Duration(30 * time.Second)} // it dials several times
	_, _, err = provisioned(t, patient).Claim(t.Context(), "key", "a", time.Minute)
	require.ErrorContains(t, err, "certificate")
	_, _, err = provisioned(t, &Store{Address: "rediss://" + server.Address, CA: ca}).Claim(t.Context(), "key", "a", time.Minute)
	require.Error(t, err, "the server does not speak TLS")
}

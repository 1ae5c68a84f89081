package network_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/network"
)

// alert has the kind of the type that crypto/tls does not export.
type alert uint8

func (alert) Error() string { return "planted" }

func remote(number uint8) error {
	return fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", &net.OpError{Op: "remote error", Err: alert(number)})
}

// Only alerts that end a handshake say that no request was taken. The others come
// after one was carried out as well.
func TestAlerts(t *testing.T) {
	for number, c := range map[uint8]struct {
		name    string
		refuses bool
	}{
		40: {"handshake_failure", true}, 42: {"bad_certificate", true}, 45: {"certificate_expired", true},
		48: {"unknown_ca", true}, 49: {"access_denied", true}, 70: {"protocol_version", true}, 116: {"certificate_required", true},
		80: {"internal_error", false}, 10: {"unexpected_message", false}, 20: {"bad_record_mac", false}, 90: {"user_canceled", false},
		0: {"0", false}, 21: {"decryption_failed", false}, 255: {"255", false},
	} {
		got, ok := network.RemoteAlert(remote(number))
		require.True(t, ok)
		assert.Equal(t, c.name, got.Name())
		assert.Equal(t, c.refuses, got.RefusesHandshake(), c.name)
		text := network.Describe(remote(number)).Error()
		assert.Contains(t, text, c.name)
		assert.NotContains(t, text, "planted")
	}
	for _, err := range []error{errors.New("x"), &net.OpError{Op: "read", Err: alert(40)}, &net.OpError{Op: "remote error"}, &net.OpError{Op: "remote error", Err: errors.New("x")}} {
		_, ok := network.RemoteAlert(err)
		assert.False(t, ok, "%v", err)
	}
}

// What legacy_tls allows, and nothing more.
func TestLegacy(t *testing.T) {
	names := func(words ...string) (out []string) {
		config := new(tls.Config)
		network.Legacy(config, words)
		for _, id := range config.CipherSuites {
			out = append(out, tls.CipherSuiteName(id))
		}
		return out
	}
	assert.Empty(t, names())
	assert.Contains(t, names("rsa"), "TLS_RSA_WITH_AES_128_GCM_SHA256")
	assert.Contains(t, names("rsa"), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
	assert.NotContains(t, names("rsa"), "TLS_RSA_WITH_3DES_EDE_CBC_SHA")
	assert.NotContains(t, names("1.0"), "TLS_RSA_WITH_AES_128_CBC_SHA")
	for _, name := range names("1.0", "rsa", "3des") {
		assert.NotContains(t, name, "RC4")
	}
	require.Error(t, network.CheckLegacy([]string{"ssl3"}))
	require.NoError(t, network.CheckLegacy([]string{"1.0", "rsa", "3des"}))
}

func TestWhatIsNoTLS(t *testing.T) {
	server := httptest.NewServer(nil)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{ServerName: "a"}).Handshake()
	assert.ErrorContains(t, network.Describe(err), "does not speak TLS")
}

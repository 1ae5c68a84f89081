package network

import (
	"errors"
	"net"
	"reflect"
	"strconv"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Alert is the description of a TLS alert (RFC 8446, section 6).
type Alert uint8

// alerts are the names of those by which a handshake is refused. In TLS 1.3 a client
// has finished its handshake, and may have sent its request, before the server has
// looked at its certificate: then the refusal comes where an answer is awaited. A
// server gives no request to its application before its own handshake is finished.
var alerts = map[Alert]string{
	40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
	45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied",
	50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 109: "missing_extension",
	110: "unsupported_extension", 112: "unrecognized_name", 113: "bad_certificate_status_response",
	115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}

// otherAlerts are the names of the alerts that can come at any time, after a request was
// carried out as well.
var otherAlerts = map[Alert]string{
	10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow", 30: "decompression_failure",
	41: "no_certificate", 60: "export_restriction", 80: "internal_error", 86: "inappropriate_fallback",
	90: "user_canceled", 100: "no_renegotiation", 111: "certificate_unobtainable", 114: "bad_certificate_hash_value",
}

// hints say what usually is the cause, and what to change.
var hints = map[Alert]i18n.Text{
	40:  i18n.T("there is no cipher in common, or it wants a client certificate (http { tls_client_auth }); a server that knows RSA key exchange only is reached with legacy_tls rsa, one that knows 3DES only with legacy_tls rsa 3des; doctor --online tries them"),
	42:  i18n.T("it does not accept the client certificate (http { tls_client_auth })"),
	43:  i18n.T("it does not accept the client certificate's kind (http { tls_client_auth })"),
	44:  i18n.T("the client certificate was revoked: ask for a new one"),
	45:  i18n.T("the client certificate has expired: ask for a new one"),
	46:  i18n.T("it does not accept the client certificate (http { tls_client_auth })"),
	48:  i18n.T("it does not know who issued the client certificate: send the one that it has issued, with its chain (http { tls_client_auth })"),
	49:  i18n.T("it does not let this client certificate in"),
	51:  i18n.T("the client certificate's key does not fit, or a box on the way changes what passes"),
	70:  i18n.T("it speaks another version of TLS; one that knows TLS 1.0 or 1.1 only is reached with legacy_tls 1.0"),
	71:  i18n.T("its ciphers are too old or too few; try legacy_tls rsa"),
	112: i18n.T("it serves no such name: correct the upstream, or give http { tls_server_name }"),
	116: i18n.T("it wants a client certificate: http { tls_client_auth <certificate> <key> }"),
}

// Name returns the name that the standard gives to an alert, or else its number.
func (a Alert) Name() string {
	if name, ok := alerts[a]; ok {
		return name
	}
	if name, ok := otherAlerts[a]; ok {
		return name
	}
	return strconv.Itoa(int(a))
}

// RefusesHandshake reports whether a server that sends the alert has not taken the
// handshake, and so no request.
func (a Alert) RefusesHandshake() bool { return alerts[a] != "" }

// RemoteAlert returns the alert with which the other side ended a connection, if it did.
// The package crypto/tls has no exported type for it.
func RemoteAlert(err error) (Alert, bool) {
	e, ok := errors.AsType[*net.OpError](err)
	if !ok || e.Op != "remote error" || e.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(e.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return Alert(v.Uint()), true
}

// describeAlert says what an alert means.
func describeAlert(a Alert) i18n.Text {
	if hint, ok := hints[a]; ok {
		return i18n.T("the other side refused with the TLS alert %s: %v", a.Name(), hint)
	}
	return i18n.T("the other side refused with the TLS alert %s", a.Name())
}

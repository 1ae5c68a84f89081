// Package provider plays the other side of an exchange: what a payment provider does
// with a request, and what it answers.
//
// The five providers below this package are written from the providers' own
// pages with the standard library alone. They share no code with the schemes
// that talk to them, so that a mistake in a scheme shows as a refusal here and
// not as two equal mistakes that agree. Nothing in here speaks HTTP: whoever
// serves a [Provider] reads the request and writes the [Answer].
package provider

import (
	"crypto"
	"crypto/rsa"
	"net/http"
	"time"
)

// Provider plays one payment provider. It is safe for concurrent use as long
// as its options are not changed while it serves.
type Provider interface {
	// Answer verifies, decrypts and checks one request as the provider would.
	// It never fails: a request that the provider would refuse gets the
	// provider's own error answer, and a sandbox that lacks the key to answer
	// with gets [Unable].
	Answer(Request) Answer
}

// Keys is the provider's side of a key set, in the standard library's terms.
// A provider needs only the fields that its rules name.
type Keys struct {
	// Sign is the provider's own private key.
	Sign crypto.Signer
	// Decrypt is the provider's own private key for envelopes.
	Decrypt crypto.Decrypter
	// Verify are the merchant's public keys. A signature by any of them holds.
	Verify []*rsa.PublicKey
	// Encrypt is the merchant's public key for envelopes.
	Encrypt *rsa.PublicKey
	// Secrets are the shared secrets. Any of them verifies, the first signs.
	Secrets [][]byte
}

// Fault is a fault of the message that the provider itself makes. Faults of
// the line (a truncated or slow answer, HTML instead of JSON) are made by
// whoever serves the provider.
type Fault string

// The faults of a message. Each is a valid answer in every other respect.
const (
	// NoFault is the answer as it should be.
	NoFault Fault = ""
	// BadSignature is a well-formed signature that is not the right one.
	BadSignature Fault = "bad_signature"
	// WrongKey is a signature by a key or a secret that nobody agreed on.
	WrongKey Fault = "wrong_key"
	// Tampered is a genuine signature, with a signed member changed after it
	// was made.
	Tampered Fault = "tampered"
	// Unsigned is the answer without its signature.
	Unsigned Fault = "unsigned"
	// Mismatch is a genuine signature over an answer that names another order
	// than the request. Where a request names no order it changes nothing.
	Mismatch Fault = "mismatch"
)

// Request is what reached the provider.
type Request struct {
	// Path is the path, with the query if there was one. What stands before
	// the provider's own path is ignored.
	Path string
	// ContentType is the media type of the body, parameters included.
	ContentType string
	Body        []byte
	// Keys belong to the merchant that the provider is to serve.
	Keys  Keys
	Fault Fault
	// Now is the provider's clock.
	Now time.Time
}

// Answer is what the provider sends back.
type Answer struct {
	// Status is the HTTP status. Providers refuse with 200.
	Status      int
	ContentType string
	Header      map[string][]string // besides Content-Type, or nil
	Body        []byte
	// OK reports that the provider accepted the request.
	OK bool
	// Notification is what the provider sends in later. It is nil unless OK.
	Notification *Notification
	// Seen describes for people what the provider verified, decrypted and decided. It
	// holds plain text of the request, and never a key.
	Seen string
}

// Notification is a signed message from the provider to the merchant. The
// provider sends it several times, until it is acknowledged.
type Notification struct {
	ContentType string
	Header      map[string][]string // besides Content-Type, or nil
	Query       string              // in the place of the address's own, or ""
	Body        []byte
	// Acknowledged reports whether the merchant's answer stops the provider from
	// sending the notification again.
	Acknowledged func(status int, body []byte) bool

	// Signed is used instead of Acknowledged if the answer is signed and the signature
	// may be in a header.
	Signed func(status int, header http.Header, body []byte) bool
}

// Unable returns the answer of a sandbox that cannot answer, mostly because it lacks a
// key. No provider answers like that, and no scheme accepts it.
func Unable(err error) Answer {
	return Answer{
		Status:      500,
		ContentType: "text/plain; charset=utf-8",
		Body:        []byte("the sandbox cannot answer: " + err.Error() + "\n"),
		Seen:        "cannot answer: " + err.Error(),
	}
}

// Stops reports whether the merchant's answer stops the provider from sending the
// notification again.
func (n *Notification) Stops(status int, header http.Header, body []byte) bool {
	if n.Signed != nil {
		return n.Signed(status, header, body)
	}
	return n.Acknowledged(status, body)
}

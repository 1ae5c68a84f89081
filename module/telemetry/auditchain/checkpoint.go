package auditchain

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Signature is a signature with what is needed to verify it.
type Signature struct {
	Reference string // of the key set
	PublicKey []byte // PKIX, DER
	Value     string // RSASSA-PKCS1-v1_5 with SHA-256, in Base64
}

// CheckpointFields returns the fields of a checkpoint: a signature that was made
// over Signed(head, FormatTime(at)), where at is also the time of the entry.
func CheckpointFields(head Head, s Signature) []zapcore.Field {
	return []zapcore.Field{
		zap.Uint64("checkpoint_seq", head.Seq),
		zap.String("checkpoint_hash", head.Hash),
		zap.String("reference", s.Reference),
		zap.String("key", fingerprint(s.PublicKey)),
		zap.String("public_key", base64.StdEncoding.EncodeToString(s.PublicKey)),
		zap.String("signature", s.Value),
	}
}

// FormatTime returns a time as it stands in an entry.
func FormatTime(at time.Time) string { return at.UTC().Format(timeFormat) }

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// checkpoint is a checkpoint as it was read.
type checkpoint struct {
	head      Head
	at        string
	reference string
	key       string
	publicKey string
	signature string
}

// checkpointOf reads the checkpoint in an entry. It reports false if the entry
// is not one.
func checkpointOf(all map[string]jsontext.Value) (checkpoint, bool) {
	c := checkpoint{
		at: text(all["time"]), reference: text(all["reference"]), key: text(all["key"]),
		publicKey: text(all["public_key"]), signature: text(all["signature"]),
		head: Head{Hash: text(all["checkpoint_hash"])},
	}
	_ = json.Unmarshal(all["checkpoint_seq"], &c.head.Seq) // 0 is no entry's number
	return c, text(all["msg"]) == "checkpoint"
}

// verify checks the signature, and that key is the fingerprint of its key.
func (c checkpoint) verify() error {
	der, err := base64.StdEncoding.DecodeString(c.publicKey)
	if err != nil {
		return i18n.Errorf("its public key is not Base64")
	}
	if fingerprint(der) != c.key {
		return i18n.Errorf("its fingerprint is not that of its public key")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return i18n.Errorf("its public key cannot be read")
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return i18n.Errorf("its public key is not an RSA key")
	}
	signature, err := base64.StdEncoding.DecodeString(c.signature)
	if err != nil {
		return i18n.Errorf("its signature is not Base64")
	}
	digest := sha256.Sum256(Signed(c.head, c.at))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) != nil {
		return i18n.Errorf("its signature does not verify")
	}
	return nil
}

// text returns the value of a JSON string, or "" for anything else.
func text(value jsontext.Value) string {
	var s string
	_ = json.Unmarshal(value, &s)
	return s
}

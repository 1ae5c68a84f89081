package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
)

// encoded is one key or certificate of a value.
type encoded struct {
	label string // of the PEM block, or "" for bare Base64
	der   []byte
}

// ders returns the DER of every key in text: PEM, or the bare Base64 that
// providers hand out.
func ders(text []byte) (out []encoded, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors begin a file with it
	if !bytes.Contains(text, []byte("-----BEGIN")) {
		der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
		if err != nil || len(der) == 0 {
			return nil, errors.New("it is neither PEM nor Base64; give PEM (PKCS#8, PKCS#1, PKIX or a certificate) or the provider's bare Base64")
		}
		return []encoded{{"", der}}, nil
	}
	// pem.Decode skips what it cannot read, and a half-written file must not
	// lose a key in silence: every beginning has to become a block.
	for begun := bytes.Count(text, []byte("-----BEGIN")); begun > 0; begun-- {
		found, rest := pem.Decode(text)
		if found == nil || bytes.Count(rest, []byte("-----BEGIN")) != begun-1 {
			return nil, errors.New("a PEM block is incomplete; write the file whole and rename it into place")
		}
		if found.Headers["DEK-Info"] != "" || found.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errors.New("the key is encrypted with a pass phrase; store it decrypted, protected by the source")
		}
		out = append(out, encoded{found.Type, found.Bytes})
		text = rest
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("something follows the last PEM block; write the file whole and rename it into place")
	}
	return out, nil
}

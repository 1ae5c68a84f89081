package recipe

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// nonce returns a fresh text, the same for the same placeholder in one attempt.
func (e *env) nonce(p part) string {
	name := p.name + "." + p.arg
	if text, ok := e.fresh[name]; ok {
		return text
	}
	if e.fresh == nil {
		e.fresh = make(map[string]string)
	}
	text := fresh(p)
	e.fresh[name] = text
	return text
}

func fresh(p part) string {
	if p.name == "uuid" {
		raw := random(16)
		raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80 // RFC 9562, version 4
		return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
	}
	if p.hex {
		return hex.EncodeToString(random((p.n + 1) / 2))[:p.n]
	}
	var text strings.Builder
	for text.Len() < p.n {
		for _, b := range random(p.n) {
			if int(b) < 4*len(nonceLetters) && text.Len() < p.n { // else the first letters were likelier
				text.WriteByte(nonceLetters[int(b)%len(nonceLetters)])
			}
		}
	}
	return text.String()
}

func random(n int) []byte {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // it never fails
	return raw
}

// maxNonce bounds the length of a nonce.
const maxNonce = 256

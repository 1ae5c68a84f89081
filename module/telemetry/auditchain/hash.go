package auditchain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// left are the members that are not hashed.
var left = map[string]bool{"hash": true, "level": true, "logger": true, "ts": true}

// members reads a JSON object. Duplicate names are an error.
func members(line []byte) (map[string]jsontext.Value, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(line))
	if token, err := decoder.ReadToken(); err != nil {
		return nil, err
	} else if token.Kind() != jsontext.KindBeginObject {
		return nil, i18n.Errorf("not a JSON object")
	}
	out := make(map[string]jsontext.Value)
	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String() // the next read overwrites the token
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		out[text] = value.Clone()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, i18n.Errorf("text after the JSON object")
	}
	return out, nil
}

// Hash returns the hash of an entry in 64 lower-case hex digits. The entry is a
// JSON object, with or without the members that are not hashed.
func Hash(entry []byte) (string, error) {
	all, err := members(entry)
	if err != nil {
		return "", err
	}
	return hashOf(all)
}

func hashOf(all map[string]jsontext.Value) (string, error) {
	object := jsontext.Value{'{'}
	for name, value := range all {
		if left[name] {
			continue
		}
		if len(object) > 1 {
			object = append(object, ',')
		}
		var err error
		if object, err = jsontext.AppendQuote(object, name); err != nil {
			return "", err
		}
		object = append(append(object, ':'), value...)
	}
	object = append(object, '}')
	if err := object.Canonicalize(); err != nil {
		return "", err
	}
	sum := sha256.Sum256(object)
	return hex.EncodeToString(sum[:]), nil
}

// Signed returns the text that the signature of a checkpoint is made over: of
// the entry with a number and hash, at a time as it stands in the checkpoint.
func Signed(head Head, at string) []byte {
	return fmt.Appendf(nil, "caddy-countersign audit checkpoint\n%d\n%s\n%s\n", head.Seq, head.Hash, at)
}

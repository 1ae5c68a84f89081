package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how many arrays and objects may be nested.
const maxDepth = 100

// ParseObject reads a JSON object and refuses every other value.
func ParseObject(text []byte) (Value, error) {
	v, err := Parse(text)
	if err != nil {
		return Value{}, err
	}
	if v.Kind != Object {
		return Value{}, errors.New("not a JSON object")
	}
	return v, nil
}

// Parse reads one JSON text and nothing after it. It refuses what two readers
// could understand differently: a member name that occurs twice (however it
// is spelled), bytes that are not UTF-8, half of a surrogate pair.
func Parse(text []byte) (Value, error) {
	switch {
	case !utf8.Valid(text):
		return Value{}, errors.New("not UTF-8")
	case !json.Valid(text):
		return Value{}, errors.New("not JSON")
	case loneSurrogate(text):
		return Value{}, errors.New("half of a surrogate pair")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	r := reader{text: text, dec: dec}
	return r.value(0)
}

// reader walks over the tokens of a text that is known to be valid JSON.
type reader struct {
	text []byte
	dec  *json.Decoder
}

func (r *reader) value(depth int) (Value, error) {
	start := r.dec.InputOffset()
	token, err := r.dec.Token()
	if err != nil {
		return Value{}, fmt.Errorf("not JSON: %w", err)
	}
	var v Value
	switch t := token.(type) {
	case nil:
	case bool:
		v = Flag(t)
	case json.Number:
		v = Num(t.String())
	case string:
		v = Str(t)
	case json.Delim:
		switch {
		case depth == maxDepth:
			return Value{}, fmt.Errorf("more than %d levels", maxDepth)
		case t == '{':
			v, err = r.object(depth)
		default:
			v, err = r.array(depth)
		}
	}
	// The decoder counts the separator before a value to the value.
	v.Raw = strings.TrimLeft(string(r.text[start:r.dec.InputOffset()]), " \t\r\n,:")
	return v, err
}

func (r *reader) object(depth int) (Value, error) {
	v := Obj()
	seen := map[string]bool{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return v, fmt.Errorf("not JSON: %w", err)
		}
		name, _ := token.(string)
		if seen[name] {
			return v, fmt.Errorf("member %q occurs twice", name)
		}
		seen[name] = true
		member, err := r.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.Members = append(v.Members, M(name, member))
	}
	_, err := r.dec.Token()
	return v, err
}

func (r *reader) array(depth int) (Value, error) {
	v := Arr()
	for r.dec.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.Items = append(v.Items, item)
	}
	_, err := r.dec.Token()
	return v, err
}

// loneSurrogate reports whether valid JSON holds an escape of half a surrogate pair,
// which encoding/json would silently read as U+FFFD.
func loneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		unit := hex4(text[i+1:])
		i += 4
		if !utf16.IsSurrogate(unit) {
			continue
		}
		next := text[i+1:]
		if len(next) < 6 || next[0] != '\\' || next[1] != 'u' ||
			utf16.DecodeRune(unit, hex4(next[2:])) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// hex4 returns the UTF-16 code unit of an escape in valid JSON.
func hex4(text []byte) rune {
	n, _ := strconv.ParseUint(string(text[:4]), 16, 16)
	return rune(n)
}

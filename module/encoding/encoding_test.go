package encoding

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDecodeBase64(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"AA==":                 "\x00",
		"+/+/":                 "\xfb\xff\xbf",
		"aGVsbG8=":             "hello",
		"aGVs\r\nbG8=\r\n":     "hello",
		"aGVs\nbG8\n=":         "hello",
		"\r\n\r\naGVsbG8=":     "hello",
		"a\nG\nV\ns\nb\nG\n8=": "hello",
	} {
		got, err := DecodeBase64(text)
		require.NoError(t, err, "%q", text)
		assert.Equal(t, want, string(got), "%q", text)
		fromBytes, err := DecodeBase64([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, got, fromBytes)
	}
	for name, text := range map[string]string{
		"url-safe letters":        "-_-_",
		"one url-safe letter":     "+_+/",
		"no padding":              "aGVsbG8",
		"too much padding":        "aGVsbG8==",
		"padding alone":           "====",
		"padding within":          "aGVs=bG8=",
		"text behind the padding": "aGVsbG8=aGVs",
		"non-zero trailing bits":  "AB==",
		"and in two letters":      "AAB=",
		"a blank":                 "aGVs bG8=",
		"a tab":                   "aGVs\tbG8=",
		"a non-breaking space":    "aGVs\u00a0bG8=",
		"a full-width letter":     "ａGVsbG8=",
		"NUL":                     "aGVsbG8=\x00",
		"a single letter":         "a",
		"percent-encoding":        "aGVsbG8%3D",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeBase64(text)
			assert.Nil(t, got)
			assert.Equal(t, ErrBase64, err, "one error that says nothing of the text")
		})
	}
}

// One byte string has one text: whatever decodes, encodes to the same letters.
func TestBase64HasOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		text := EncodeBase64(data)
		require.Equal(t, base64.StdEncoding.EncodeToString(data), text)
		back, err := DecodeBase64(text)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, back))

		if len(text) == 0 {
			return
		}
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		changed := text[:at] + string(rapid.Byte().Draw(t, "byte")) + text[at+1:]
		other, err := DecodeBase64(changed)
		if err != nil || changed == text {
			return
		}
		require.Equal(t, strings.NewReplacer("\r", "", "\n", "").Replace(changed), EncodeBase64(other),
			"two texts for one byte string")
	})
}

func TestDecodeHex(t *testing.T) {
	for _, text := range []string{"00ff1a2b", "00FF1A2B", "00Ff1a2B"} {
		got, err := DecodeHex(text)
		require.NoError(t, err)
		assert.Equal(t, []byte{0, 0xff, 0x1a, 0x2b}, got)
	}
	for _, text := range []string{"0", "0g", "0x00", "00 ff", "00\n", "００"} {
		got, err := DecodeHex([]byte(text))
		assert.Nil(t, got)
		assert.Equal(t, ErrHex, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		got, err := DecodeHex(strings.ToUpper(hex.EncodeToString(data)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	})
}

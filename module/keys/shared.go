package keys

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// parseSecret reads a shared secret. One trailing LF or CRLF is removed, and
// nothing else: a secret may begin or end with white space. What no provider
// hands out is refused by what it is; what is only unlikely becomes a warning.
func parseSecret(value Value) (secret *Secret, warnings []string, err error) {
	text := trimNewline(value.Text)
	if len(text) == 0 {
		return nil, nil, ErrEmpty
	}
	if err := checkSecret(text); err != nil {
		return nil, nil, err
	}
	for _, unlikely := range doubts(string(text)) {
		warnings = append(warnings, fmt.Sprintf("the secret in %s %s, and is used so; correct it if the provider's does not", value.Origin, unlikely))
	}
	return NewSecret(text, value.Origin), warnings, nil
}

// parseSecrets reads secrets one a line.
func parseSecrets(value Value) (secrets []*Secret, warnings []string, err error) {
	for line := range bytes.Lines(value.Text) {
		secret, doubts, err := parseSecret(Value{Text: line, Origin: value.Origin})
		if errors.Is(err, ErrEmpty) {
			return nil, nil, i18n.Errorf("there is an empty line; every line is one secret")
		}
		if err != nil {
			return nil, nil, err
		}
		secrets, warnings = append(secrets, secret), append(warnings, doubts...)
	}
	return secrets, warnings, nil
}

// checkSecret refuses what a text editor or a terminal put into a secret.
func checkSecret(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\ufeff")):
		return i18n.Errorf("it begins with a byte order mark, which is no part of the secret; save it as UTF-8 without one")
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return i18n.Errorf("it is UTF-16; save it as UTF-8 without a byte order mark")
	case bytes.IndexByte(text, 0) >= 0:
		return i18n.Errorf("it holds a NUL byte; save it as plain text, a binary secret in hex or Base64 (secret hex, secret base64 in the recipe)")
	case bytes.ContainsAny(text, "\r\n"):
		return i18n.Errorf("it has more than one line; keep the secret alone, on the first line (further ones that are accepted go to verify_secret)")
	}
	for _, r := range string(text) {
		if name := invisible[r]; name != "" {
			return i18n.Errorf("it holds an invisible character, %s (U+%04X), which copying from a web page or a document leaves; type the secret or copy it from the console", name, r)
		}
		if r < ' ' && r != '\t' || r == 0x7f {
			return i18n.Errorf("it holds the control character U+%04X; copy the secret anew", r)
		}
	}
	return nil
}

// invisible are characters that look like nothing or like a blank.
var invisible = map[rune]string{
	'\u00a0': "a no-break space", '\u00ad': "a soft hyphen", '\u200b': "a zero-width space", '\u200c': "a zero-width non-joiner",
	'\u200d': "a zero-width joiner", '\u200e': "a left-to-right mark", '\u200f': "a right-to-left mark",
	'\u2028': "a line separator", '\u202f': "a narrow no-break space", '\u2060': "a word joiner",
	'\u202a': "an embedding mark", '\u202c': "a formatting mark", '\u3000': "an ideographic space", '\ufeff': "a byte order mark",
}

// assignment is a secret that still has its name.
var assignment = regexp.MustCompile(`(?i)^\s*(export\s+)?[a-z_.-]*(secret|key|password|passwd|token|salt|密钥|密碼|密码)[a-z_.-]*\s*[=:：]`)

// doubts says what is odd about a secret, without showing any of it.
func doubts(text string) []string {
	var out []string
	if strings.TrimSpace(text) != text {
		out = append(out, "begins or ends with a blank")
	}
	trimmed := strings.TrimSpace(text)
	if n := len(trimmed); n > 1 && trimmed[0] == trimmed[n-1] && strings.ContainsRune("\"'`", rune(trimmed[0])) {
		out = append(out, "stands in quotes")
	}
	if assignment.MatchString(text) {
		out = append(out, "begins with a name, as in secret=…")
	}
	if !utf8.ValidString(text) {
		out = append(out, "is not UTF-8 text")
	}
	return out
}

// trimNewline removes one trailing LF or CRLF.
func trimNewline(text []byte) []byte {
	if cut, found := bytes.CutSuffix(text, []byte("\n")); found {
		text, _ = bytes.CutSuffix(cut, []byte("\r"))
	}
	return bytes.Clone(text)
}

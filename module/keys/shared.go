package keys

import (
	"bytes"
	"errors"
	"regexp"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// parseSecret reads a shared secret. One trailing LF or CRLF is removed, and nothing
// else: a secret may begin or end with white space. A text that cannot be a secret is
// refused with the reason; one that is only unlikely gives a warning.
func parseSecret(value Value) (secret *Secret, warnings []string, err error) {
	text := trimNewline(value.Text)
	if len(text) == 0 {
		return nil, nil, ErrEmpty
	}
	if err := checkSecret(text); err != nil {
		return nil, nil, err
	}
	for _, unlikely := range doubts(string(text)) {
		warnings = append(warnings, i18n.Sprintf("the secret in %s %s, and is used so; correct it if the provider's does not", value.Origin, unlikely))
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
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}),
		byteOrder(text) != nil && bytes.Count(text, []byte{0}) > 1:
		return i18n.Errorf("it is UTF-16; save it as UTF-8 without a byte order mark")
	case bytes.IndexByte(text, 0) >= 0:
		return i18n.Errorf("it holds a NUL byte; save it as plain text, a binary secret in hex or Base64 (secret hex, secret base64 in the recipe)")
	case bytes.ContainsAny(text, "\r\n"):
		return i18n.Errorf("it has more than one line; keep the secret alone, on the first line (further ones that are accepted go to verify_secret)")
	}
	for _, r := range string(text) {
		name := invisible[r]
		if name == "" && r > 0x7f && (unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)) {
			name = "a blank or a mark"
		}
		if name != "" {
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

// oddities are properties that a secret rarely has, each with the sentence that is
// shown about it.
var oddities = []struct {
	found *regexp.Regexp
	words i18n.Text
}{
	{regexp.MustCompile(`^\s|\s$`), i18n.T("begins or ends with a blank")},
	{regexp.MustCompile(`\S\s+\S`), i18n.T("has a blank in it")},
	{regexp.MustCompile("^\\s*[\"'`\u2018-\u201f\u300c-\u300f]|[\"'`\u2018-\u201f\u300c-\u300f]\\s*$"), i18n.T("stands in quotes")},
	{regexp.MustCompile(`(?i)^\s*(export\s+)?[a-z_.-]*(secret|key|password|passwd|token|salt|密钥|密碼|密码)[a-z_.-]*\s*[=:：]`), i18n.T("begins with a name, as in secret=…")},
	{regexp.MustCompile(`(?i)^\s*(base64url|base64|b64|hex|utf-?8|plain|text|ascii)\s*:`), i18n.T("begins with the name of an encoding, as in base64:…")},
	{regexp.MustCompile(`(?i)^\s*(bearer|basic)\s`), i18n.T("begins with a word of a header, such as Bearer")},
	{regexp.MustCompile(`\\[nrt"']|\\u[0-9a-fA-F]{4}`), i18n.T("has an escape of a program's string in it, such as \\n")},
	{regexp.MustCompile(`%[0-9A-F]{2}|&(amp|lt|gt|quot|apos|#[0-9]+);`), i18n.T("has an escape of a URL or of HTML in it, such as &amp;")},
	{regexp.MustCompile(`^\s*\{[^{}]*:|^\s*<`), i18n.T("looks like JSON, XML or HTML")},
	{regexp.MustCompile(`^\s*\$?\{+[^{}:]*\}+\s*$|^\s*\$[A-Z][A-Z0-9_]*\s*$|^\s*%[A-Z][A-Z0-9_]*%\s*$`), i18n.T("looks like a placeholder, which is not filled in here")},
	{regexp.MustCompile(`^\s*(file://|/(etc|run|var|home|root|opt|usr|tmp|mnt|srv|keys|secrets|vault)/|[A-Za-z]:\\)`), i18n.T("looks like the name of a file")},
	{regexp.MustCompile(`\*{3,}|…|\.{3,}|•{2,}`), i18n.T("has letters hidden or left out, as consoles show it")},
	{regexp.MustCompile(`(?i)^\s*(change[-_ ]?me|your[-_ ]?\w*[-_ ]?(key|secret)\w*|todo|x{3,}|<.*>)\s*$`), i18n.T("is what stands in an example")},
	{regexp.MustCompile(`[,;]\s*$`), i18n.T("ends with a comma or semicolon")},
	{regexp.MustCompile(`[\x{ff01}-\x{ff5e}\p{Cyrillic}\p{Greek}]`), i18n.T("has letters that only look like ASCII")},
}

// doubts returns a sentence for each oddity of a secret. None shows a part of it.
func doubts(text string) []string {
	var out []string
	for _, odd := range oddities {
		if odd.found.MatchString(text) {
			out = append(out, odd.words.String())
		}
	}
	if !utf8.ValidString(text) {
		out = append(out, i18n.Sprintf("is not UTF-8 text"))
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

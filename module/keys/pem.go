package keys

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// encoded is one key or certificate of a value.
type encoded struct {
	label string // of the PEM block, or "" for what stood in none
	der   []byte
}

// ders returns the DER of every key in text: PEM, bare Base64 as providers hand
// it out, or DER itself. PEM is taken as people have it: on one line, with blanks
// or a literal \n for its line breaks, indented, in quotes, with text around it.
// Text that could be a lost key is an error.
func ders(text []byte) ([]encoded, error) {
	if isDER(text) {
		return []encoded{{"", text}}, nil
	}
	plain, err := plainText(text)
	if err != nil {
		return nil, err
	}
	if why := foreignText(plain); why != nil {
		return nil, why
	}
	if strings.Contains(plain, pemBegin) {
		return pemBlocks(plain)
	}
	if inner, ok := decodeBase64(plain); ok && isText(inner) {
		if all, err := ders(inner); err == nil { // a file in Base64, as Kubernetes shows a Secret
			return all, nil
		}
	}
	return bareKeys(plain)
}

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	hyphens  = "-----"
)

var (
	errIncomplete = i18n.Errorf("a PEM block is incomplete; write the file whole and rename it into place")
	errPassPhrase = i18n.Errorf("the key is encrypted with a pass phrase; store it decrypted, protected by the source: openssl pkcs8 -topk8 -nocrypt -in FILE -out sign.pem")
	errBlock      = i18n.Errorf("a PEM block holds something between BEGIN and END that is not whole Base64; copy the key anew")
	errHyphens    = i18n.Errorf("its BEGIN and END lines do not have exactly five hyphens (-----) before and behind; write them so")
	errBeside     = i18n.Errorf("beside a PEM block stands Base64 without BEGIN and END; give every key as a block of its own")
)

// header is one header of a PEM block, as RFC 1421 allows them.
var header = regexp.MustCompile(`(?m)^\s*[A-Za-z][A-Za-z0-9-]*:.*$`)

// pemBlocks reads every block of a text. Package encoding/pem skips what it
// cannot read; here every beginning must become a block.
func pemBlocks(text string) ([]encoded, error) {
	var out []encoded
	for {
		before, rest, found := strings.Cut(text, pemBegin)
		if err := around(before, found); err != nil {
			return nil, err
		}
		if !found && len(out) == 0 {
			return nil, i18n.Errorf("it holds the parameters of a curve and no key; copy the whole file")
		}
		if !found {
			return out, nil
		}
		label, rest, ok1 := strings.Cut(rest, hyphens)
		body, rest, ok2 := strings.Cut(rest, pemEnd)
		end, rest, ok3 := strings.Cut(rest, hyphens)
		if !ok1 || !ok2 || !ok3 || !isLabel(label) || !isLabel(end) || strings.Contains(body, pemBegin) || isLabelled(body) || isLabelled(rest) {
			return nil, errIncomplete
		}
		text = rest
		if why := foreign[label]; why != nil {
			return nil, why
		}
		if strings.Contains(body, "ENCRYPTED") {
			return nil, errPassPhrase
		}
		if strings.HasSuffix(label, " PARAMETERS") && end == label {
			continue // openssl writes the curve before the key
		}
		if strings.Contains(body, ":") {
			body = header.ReplaceAllString(body, "")
		}
		if strings.HasPrefix(body, "-") || strings.HasSuffix(before, "-") {
			return nil, errHyphens
		}
		der, err := decodeBlock(body)
		if err != nil {
			return nil, err
		}
		out = append(out, encoded{label, der})
	}
}

// decodeBlock decodes what stands between BEGIN and END. A blank within a line stands
// for a line break, or where that is not a key, for a + that a form has lost.
func decodeBlock(body string) ([]byte, error) {
	if letter := foreignLetter(body); letter != "" {
		return nil, i18n.Errorf("a PEM block holds %s between BEGIN and END, so that it is not whole Base64; copy the key anew", letter)
	}
	if der, ok := decodeBase64(body); ok && fits(der) {
		return der, nil
	}
	lines := strings.Split(strings.TrimSpace(body), "\n")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(strings.TrimSpace(line), " ", "+")
	}
	if der, ok := decodeBase64(strings.Join(lines, "")); ok && isDER(der) {
		return der, nil
	}
	return nil, errBlock
}

func fits(der []byte) bool {
	missing, extra := derLength(der)
	return missing == 0 && extra == 0
}

// foreignLetter returns the first letter that neither Base64 nor white space has. It is no
// part of a key and may be shown.
func foreignLetter(text string) string {
	at := strings.IndexFunc(text, func(r rune) bool {
		return !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) && !strings.ContainsRune(base64Letters+"-_", r)
	})
	if at < 0 {
		return ""
	}
	r, _ := utf8.DecodeRuneInString(text[at:])
	return strconv.QuoteRuneToASCII(r)
}

// isText reports whether bytes are ASCII, which DER never is as a whole.
func isText(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r > '~' || r < ' ' && !unicode.IsSpace(r) }) < 0
}

// isLabel reports whether text can stand behind BEGIN or END. Whether the two
// agree is not looked at: the DER says what it is.
func isLabel(text string) bool {
	return strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ") == ""
}

// isLabelled reports whether text begins as a mark does behind its hyphens. Then the
// hyphens before it are those of two marks, and one of them would be lost.
func isLabelled(text string) bool {
	return strings.HasPrefix(text, "BEGIN ") || strings.HasPrefix(text, "END ")
}

// around looks at the text beside blocks, which may say anything but hold a key.
// At the end of the text a further block may have begun.
func around(text string, inside bool) error {
	if strings.Contains(text, hyphens) {
		return errIncomplete
	}
	for _, word := range strings.Fields(text) {
		if len(word) >= 16 && word[0] == 'M' && strings.Trim(word, base64Letters) == "" {
			return errBeside
		}
	}
	line := text[strings.LastIndexByte(text, '\n')+1:]
	if !inside && line != "" && strings.HasPrefix(pemBegin, line) {
		return errIncomplete
	}
	return nil
}

const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// decodeBase64 decodes Base64 with blanks, line breaks and marks without a shape
// anywhere, with or without padding, in either alphabet.
func decodeBase64(text string) ([]byte, bool) {
	packed := make([]byte, 0, len(text))
	defer func() { clear(packed) }() // it may be a private key
	for _, r := range text {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Cf, r):
		case r == '-': // the alphabet of URLs
			packed = append(packed, '+')
		case r == '_':
			packed = append(packed, '/')
		default:
			packed = utf8.AppendRune(packed, r)
		}
	}
	der := make([]byte, base64.RawStdEncoding.DecodedLen(len(packed)))
	n, err := base64.RawStdEncoding.Decode(der, bytes.TrimRight(packed, "="))
	return der[:n], err == nil && n > 0
}

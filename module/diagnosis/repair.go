package diagnosis

import (
	"encoding/base64"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// maxRepairs is how many things may be wrong with one text.
const maxRepairs = 8

var (
	percented = regexp.MustCompile(`(?i)%(?:25)*(?:2[BF]|3D)`)
	entity    = regexp.MustCompile(`&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z]+);`)
	escaped   = regexp.MustCompile(`\\(?:u[0-9a-fA-F]{4}|[/"nrt\\])`)
	prefixed  = regexp.MustCompile(`^(?:([A-Za-z][A-Za-z0-9_./-]{0,30}|0)[:=;,|$ x]|[\[{(]([A-Za-z][A-Za-z0-9_./-]{0,30})[\]})][:=]?)\s*"?`)
	urlSafe   = regexp.MustCompile(`^[A-Za-z0-9_-]+=*$`)
	known     = regexp.MustCompile(`(?i)^(?:0|rsa[12]?|md5|sha-?[0-9]*|hmac|sm[23]|ed25519|v[0-9]|sign|sig|signature|base64|hex|digest|(?:hmac-?|rsa-?|sm3-?)?(?:sha-?[0-9]+|md5|sm2)(?:-?with-?(?:rsa|sm2|ecdsa))?)$`)
)

// repair undoes the outermost change that transport can have made to a text, and
// returns a name for it, or the zero Text if it recognizes none.
func (d *examination) repair(text string) (string, i18n.Text) {
	if next := strings.TrimFunc(text, around); next != text && next != "" {
		return next, i18n.T("the signature has blanks, line breaks, quotes or invisible characters around it")
	}
	if entity.MatchString(text) {
		if next := html.UnescapeString(text); next != text {
			return next, i18n.T("the signature has escapes of HTML in it, such as &#43; for +")
		}
	}
	if escaped.MatchString(text) {
		if next, ok := unescapeJSON(text); ok {
			return next, i18n.T("the signature has escapes of JSON in it, such as \\/ for / or \\u002B for +: it was written as JSON twice")
		}
	}
	if levels := strings.Count(strings.ToLower(percented.FindString(text)), "25"); percented.MatchString(text) {
		next := text
		for range levels + 1 {
			if one, err := url.PathUnescape(next); err == nil {
				next = one
			}
		}
		switch levels {
		case 0:
			return next, i18n.T("the signature is escaped twice: it still has %%2B, %%2F or %%3D in it")
		case 1:
			return next, i18n.T("the signature is escaped three times: it still has %%252B, %%252F or %%253D in it")
		}
		return next, i18n.T("the signature is escaped %d times", levels+2)
	}
	if next := strings.Map(noSeparator, text); d.isHex() && next != text && hexText.MatchString(next) {
		return next, i18n.T("the signature has separators between its digits")
	}
	if next, name := withoutName(text); next != "" {
		if known.MatchString(name) { // another one may be a part of a signature
			return next, i18n.T("the signature starts with %q, which is not part of it", text[:len(text)-len(next)])
		}
		return next, i18n.T("the signature starts with a name, which is not part of it")
	}
	if d.isHex() {
		return text, i18n.Text{}
	}
	if next := strings.Join(strings.Fields(text), ""); next != text && d.separators(text, next) {
		return next, i18n.T("the signature has blanks in it, where line breaks were")
	}
	if strings.Contains(text, " ") {
		return strings.ReplaceAll(text, " ", "+"), i18n.T("the signature has a blank where Base64 has a +: the sender did not escape it as %%2B")
	}
	compact := strings.TrimRight(text, "=")
	if strings.ContainsAny(text, "-_") && urlSafe.MatchString(text) && d.signature.Encoding.Name() == "base64" {
		return padded(strings.NewReplacer("-", "+", "_", "/").Replace(compact)), i18n.T("the signature is in the URL-safe alphabet: the recipe needs base64url")
	}
	if next := padded(compact); next != text && decodesRaw(compact) && d.short(compact) == 0 {
		if len(text) > len(next) {
			return next, i18n.T("the signature has more padding (=) than it needs")
		}
		return next, i18n.T("the signature has lost its padding (=)")
	}
	return text, i18n.Text{}
}

// separators reports whether the blanks in a text separate its lines, and stand in
// the place of no letter.
func (d *examination) separators(text, without string) bool {
	blanks := len(text) - len(without)
	return d.short(text) == 0 && d.short(without) == 0 && decodesRaw(strings.TrimRight(without, "=")) && (len(d.sizes()) > 0 || blanks <= len(text)/60)
}

func around(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) || strings.ContainsRune(`"'“”‘’`, r)
}

func noSeparator(r rune) rune {
	if strings.ContainsRune(" :-\t\r\n", r) {
		return -1
	}
	return r
}

// withoutName takes away the name of an algorithm or a member in front of a signature,
// as in SHA256=… or RSA2:….
func withoutName(text string) (rest, name string) {
	at := prefixed.FindStringSubmatchIndex(text)
	if at == nil {
		return "", ""
	}
	if at[2] < 0 { // it stands in brackets
		at = []int{at[0], at[1], at[4], at[5]}
	}
	name, rest = text[at[2]:at[3]], text[at[1]:]
	if strings.Trim(rest, "=") == "" || len(rest) < 16 { // what was found is the padding, or a part of the signature
		return "", ""
	}
	if sep := text[at[3]:at[1]]; strings.HasPrefix(sep, "x") != (name == "0") || strings.HasPrefix(sep, " ") && !known.MatchString(name) {
		return "", "" // 0x, and a blank that may stand for a +
	}
	return rest, name
}

// unescapeJSON undoes the escapes of JSON's strings.
func unescapeJSON(text string) (string, bool) {
	plain := strings.NewReplacer(`\/`, "/").Replace(text)
	next, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(plain, `\"`, `"`), `"`, `\"`) + `"`)
	return next, err == nil && next != text
}

// foreign returns a phrase for the first character that no encoding has, without the
// text around it.
func foreign(text string) i18n.Text {
	for _, r := range text {
		if !strings.ContainsRune(alphabet, r) && !unicode.IsSpace(r) {
			return i18n.T(": it has the character %U in it", r)
		}
	}
	return i18n.Text{}
}

func decodesRaw(text string) bool {
	_, err := base64.RawStdEncoding.DecodeString(text)
	return err == nil
}

package diagnosis

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

var (
	hexText = regexp.MustCompile(`^(?:[0-9a-fA-F]{2})+$`)
	twice   = regexp.MustCompile(`(?i)%2[BF]|%3D`)
	wrapped = regexp.MustCompile(`^[\s"']|[\s"']$`)
	urlSafe = regexp.MustCompile(`^[A-Za-z0-9_-]+=*$`)
)

// malformed says what is wrong with the text of a signature that does not decode.
func (d *examination) malformed(value string) i18n.Text {
	isHex := strings.HasPrefix(d.signature.Encoding.Name(), "hex")
	compact := strings.TrimRight(value, "=")
	switch {
	case twice.MatchString(value):
		text, err := url.PathUnescape(value)
		if err != nil {
			text = value
		}
		return i18n.T("the signature is escaped twice: it still has %%2B, %%2F or %%3D in it%s", d.otherwise(text))
	case isHex && !hexText.MatchString(value):
		return i18n.T("the signature is not hexadecimal, which the recipe expects; it may be Base64")
	case wrapped.MatchString(value):
		return i18n.T("the signature has blanks, line breaks or quotes around it%s", d.otherwise(strings.Trim(value, " \t\r\n\"'")))
	case strings.Contains(value, " "):
		return i18n.T("the signature has a blank where Base64 has a +: the sender did not escape it as %%2B%s", d.otherwise(strings.ReplaceAll(value, " ", "+")))
	case strings.ContainsAny(value, "-_") && urlSafe.MatchString(value):
		return i18n.T("the signature is in the URL-safe alphabet: the recipe needs base64url%s", d.otherwise(padded(strings.NewReplacer("-", "+", "_", "/").Replace(compact))))
	case len(value)%4 != 0 && decodes(compact):
		return i18n.T("the signature has lost its padding (=)%s", d.otherwise(padded(compact)))
	}
	return i18n.T("the signature is not %s, which the recipe expects", d.signature.Encoding.Name())
}

// otherwise says whether the signature verifies once its text is mended.
func (d *examination) otherwise(text string) i18n.Text {
	raw, err := d.signature.Encoding.Decode([]byte(text))
	if err != nil || len(raw) == 0 || !d.budget.spend(len(d.signature.Text.Canonical)) || d.signature.Certificate != nil {
		return i18n.Text{}
	}
	if d.verifies(raw) {
		return i18n.T("; apart from that it is right")
	}
	return i18n.Text{}
}

// otherEncoding finds a text that decodes, but in another encoding than it was
// written in: 64 hexadecimal digits are Base64 as well.
func (d *examination) otherEncoding(value string) i18n.Text {
	name := d.signature.Encoding.Name()
	if strings.HasPrefix(name, "hex") || len(value) < 32 || !hexText.MatchString(value) {
		return i18n.Text{}
	}
	text, err := hex.DecodeString(value)
	if err != nil {
		return i18n.Text{}
	}
	words := i18n.T("the signature is hexadecimal, and the recipe expects %s", name)
	if d.signature.Algorithm.Kind() == algorithm.Public && d.signature.Certificate == nil && d.budget.spend(len(d.signature.Text.Canonical)) && d.verifies(text) {
		words = i18n.Join(words, i18n.T("; apart from that it is right"))
	}
	return words
}

func padded(text string) string { return text + strings.Repeat("=", (4-len(text)%4)%4) }

func decodes(text string) bool {
	_, err := base64.RawStdEncoding.DecodeString(text)
	return err == nil
}

package diagnosis

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/countersign/caddy-countersign/module/i18n"
)

var adviceCharset = i18n.T("they must read the message as UTF-8; if they do and only the copy is so, get it again as a file")

// charsetCause finds texts that are one text in two charsets.
func charsetCause(ours, theirs string) (Cause, bool) {
	name := i18n.T("charset")
	if !utf8.ValidString(theirs) {
		decoded, err := simplifiedchinese.GBK.NewDecoder().String(theirs)
		if err == nil && decoded == ours {
			return Cause{Name: name, Words: i18n.T("their string is in GBK, ours in UTF-8"), Advice: i18n.T("if the file was only saved so, convert it (iconv -f GBK -t UTF-8); if they sign GBK, open --explain verifies with it: ask them to sign UTF-8")}, true
		}
		return Cause{}, false
	}
	if strings.IndexFunc(ours, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return Cause{}, false
	}
	for _, m := range mistakes {
		if m.makes(ours, theirs) {
			return Cause{Name: name, Words: i18n.T("theirs is %s", m.text()), Advice: adviceCharset}, true
		}
		if m.makes(theirs, ours) {
			return Cause{Name: name, Words: i18n.T("the body is %s, theirs is right", m.text()), Advice: i18n.T("have the application read and write UTF-8 all the way")}, true
		}
	}
	if lost(ours, theirs) {
		return Cause{Name: name, Words: i18n.T("in theirs the Chinese characters have become question marks"), Advice: adviceCharset}, true
	}
	return Cause{}, false
}

// mistake is a charset that a text was written in and another one that it was
// read in.
type mistake struct {
	written, read       encoding.Encoding
	writtenAs, readName string
}

var mistakes = []mistake{
	{unicode.UTF8, simplifiedchinese.GBK, "UTF-8", "GBK"},
	{unicode.UTF8, charmap.Windows1252, "UTF-8", "Latin-1"},
	{unicode.UTF8, charmap.ISO8859_1, "UTF-8", "ISO 8859-1"},
	{simplifiedchinese.GBK, charmap.Windows1252, "GBK", "Latin-1"},
	{simplifiedchinese.GBK, charmap.ISO8859_1, "GBK", "ISO 8859-1"},
}

func (m mistake) text() i18n.Text {
	return i18n.T("%s that was read as %s (mojibake)", m.writtenAs, m.readName)
}

// makes reports whether the mistake makes mojibake of a text.
func (m mistake) makes(text, mojibake string) bool {
	written, err := m.written.NewEncoder().String(text)
	if err != nil {
		return false
	}
	read, err := m.read.NewDecoder().String(written)
	return err == nil && alike(read, mojibake)
}

// alike reports whether two texts are equal but for characters that were lost.
func alike(a, b string) bool {
	x, y := []rune(a), []rune(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && x[i] != utf8.RuneError && y[i] != utf8.RuneError && y[i] != '?' {
			return false
		}
	}
	return true
}

var beyondASCII = regexp.MustCompile(`[^\x00-\x7f]+`)

// lost reports whether theirs is ours with question marks in the place of all
// that is not ASCII.
func lost(ours, theirs string) bool {
	pattern := strings.Builder{}
	at := 0
	for _, span := range beyondASCII.FindAllStringIndex(ours, -1) {
		pattern.WriteString(regexp.QuoteMeta(ours[at:span[0]]) + `[?\x{fffd}]+`)
		at = span[1]
	}
	pattern.WriteString(regexp.QuoteMeta(ours[at:]))
	matched, err := regexp.MatchString("^(?s:"+pattern.String()+")$", theirs)
	return err == nil && matched
}

package diagnosis

import (
	"html"
	"math/big"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/caddy-countersign/module/command/visible"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// habit is a change that programs make to text. Undo reverts it.
type habit struct {
	name   i18n.Text
	undo   func(string) string
	theirs i18n.Text // words if their string has it
	ours   i18n.Text // words if ours has it
	advice i18n.Text
}

var adviceBody = i18n.T("send the text itself: the provider decodes it once and signs what it then has")

func (h habit) cause(words i18n.Text) Cause {
	return Cause{Name: h.name, Words: words, Advice: h.advice}
}

// habits in the order in which they are tried: the surest first.
var habits = []habit{
	{i18n.T("escape \\/"), func(s string) string { return strings.ReplaceAll(s, `\/`, `/`) },
		i18n.T("they sign the JSON text of the value, in which / is written \\/, and not the value"), i18n.T("the value itself has \\/ in it: it was escaped twice"), adviceProvider},
	{i18n.T("escape \\u"), unescapeUnicode,
		i18n.T("they sign the JSON text of the value, with \\u escapes in it, and not the value"), i18n.T("the value itself has \\u escapes in it: it was escaped twice"), adviceProvider},
	{i18n.T("escape \\\""), func(s string) string { return strings.ReplaceAll(s, `\"`, `"`) },
		i18n.T("they sign a JSON text within a JSON text with its quotes still escaped"), i18n.T("the value itself has \\\" in it: it was escaped twice"), adviceProvider},
	{i18n.T("escape &lt; &amp;"), entities.Replace,
		i18n.T("their text has HTML entities, as one writes a web page"), i18n.T("the value in the body has HTML entities: something escaped it for a web page"), adviceCopy},
	{i18n.T("web page"), html.UnescapeString,
		i18n.T("theirs has HTML entities, as one writes a web page"), i18n.T("theirs was shown by a web page, which makes × of &times, ¬ of &not and the like"), adviceCopy},
	{i18n.T("URL-encoding"), func(s string) string { return strings.ReplaceAll(s, " ", "+") },
		i18n.T("theirs has a space where ours has +: it was URL-decoded without having been encoded"), i18n.T("theirs has + where ours has a space: they URL-encode the value, or the body was URL-decoded on its way"), i18n.T("encode + as %%2B where the message travels as a form; in JSON it needs nothing")},
	{i18n.T("URL-encoding"), unescapeURL,
		i18n.T("their value is URL-encoded, ours is the text"), i18n.T("the value in the body is URL-encoded, theirs is decoded"), adviceBody},
	{i18n.T("quotes"), unquote,
		i18n.T("theirs has the quotes of the JSON text around it"), i18n.T("ours has quotes around it: the value in the body is quoted twice"), adviceProvider},
	{i18n.T("line breaks"), strings.NewReplacer("\r", "", "\n", "").Replace,
		i18n.T("their text has line breaks in it"), i18n.T("the value in the body has line breaks in it, as some Base64 encoders write"), adviceCopy},
	{i18n.T("invisible character"), seen,
		i18n.T("theirs has a character that cannot be seen"), i18n.T("the body has a character that cannot be seen, and theirs does not"), i18n.T("take it out at its source, which is often a spreadsheet or a web form")},
	{i18n.T("full-width character"), narrow,
		i18n.T("theirs has full-width characters where ours has plain ones"), i18n.T("the body has full-width characters where theirs has plain ones"), i18n.T("type it in with the input method switched to half-width")},
	{i18n.T("trimmed"), strings.TrimSpace,
		i18n.T("theirs keeps white space at the ends of the value, ours does not have it"), i18n.T("ours keeps white space at the ends of the value, theirs has trimmed it"), i18n.T("send the value without it")},
}

// entities are those that programs write. A web page knows more of them, and
// takes some without the semicolon, such as &times in &timestamp=.
var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&quot;", `"`, "&#34;", `"`, "&#39;", "'", "&apos;", "'")

// textCause returns the habit that explains how two texts differ.
func textCause(ours, theirs string) (Cause, bool) {
	if cause, ok := charsetCause(ours, theirs); ok {
		return cause, true
	}
	for _, h := range habits {
		switch {
		case h.undo(theirs) == ours:
			return h.cause(h.theirs), true
		case h.undo(ours) == theirs:
			return h.cause(h.ours), true
		}
	}
	return Cause{}, false
}

// valueCause says how two values differ that are not one text.
func valueCause(ours, theirs string) Cause {
	if words := numberWords(ours, theirs); !words.IsZero() {
		return Cause{Name: i18n.T("number re-formatted"), Words: words, Advice: i18n.T("send the number as a string, or as the provider writes it; ours is the token that stands in the body")}
	}
	switch {
	case theirs == "":
		return Cause{Name: i18n.T("another value"), Words: i18n.T("theirs is empty"), Advice: adviceServer}
	case strings.EqualFold(ours, theirs):
		return Cause{Name: i18n.T("case"), Words: i18n.T("the values differ in upper and lower case"), Advice: adviceProvider}
	case ours == "true" && theirs == "1" || ours == "false" && theirs == "0":
		return Cause{Name: i18n.T("boolean re-formatted"), Words: i18n.T("theirs writes true and false as 1 and 0, as PHP does"), Advice: i18n.T("send a string or a number, as the provider's page has it")}
	case sameJSON(ours, theirs):
		return Cause{Name: i18n.T("JSON re-written"), Words: i18n.T("both are the same JSON, with other white space, escapes or order in it"), Advice: i18n.T("send the nested value as a string, so that nobody writes it anew")}
	case strings.HasPrefix(ours, theirs), strings.HasPrefix(theirs, ours):
		return Cause{Name: i18n.T("cut off"), Words: i18n.T("one value is the beginning of the other: it was cut off, or an & in it was taken for a separator"), Advice: i18n.T("look at the length that the provider's page allows, and for an & in the value")}
	}
	return Cause{Name: i18n.T("another value"), Words: i18n.T("these are different values, and not two spellings of one"), Advice: i18n.T("compare with the string of this very message: order numbers, times and envelopes differ from try to try")}
}

// numeral matches numbers. Those of more than maxDigits bytes are not compared.
var numeral = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)

const maxDigits = 800

// numberWords says how two spellings of a number differ, if they are spellings of numbers.
func numberWords(ours, theirs string) i18n.Text {
	theirs = strings.ReplaceAll(theirs, ",", "")
	if max(len(ours), len(theirs)) > maxDigits || !numeral.MatchString(ours) || !numeral.MatchString(theirs) {
		return i18n.Text{}
	}
	a, ok1 := new(big.Rat).SetString(ours)
	b, ok2 := new(big.Rat).SetString(theirs)
	if !ok1 || !ok2 {
		return i18n.Text{}
	}
	hundred := big.NewRat(100, 1)
	x, err1 := strconv.ParseFloat(ours, 64)
	y, err2 := strconv.ParseFloat(theirs, 64)
	switch {
	case a.Cmp(b) == 0:
		return i18n.T("both are the same number, written differently")
	case err1 == nil && err2 == nil && x == y && len(ours) > 15:
		return i18n.T("theirs went through floating point, which has changed the number itself")
	case b.Cmp(new(big.Rat).Mul(a, hundred)) == 0:
		return i18n.T("theirs is a hundred times ours: fen against yuan")
	case a.Cmp(new(big.Rat).Mul(b, hundred)) == 0:
		return i18n.T("ours is a hundred times theirs: fen against yuan")
	}
	return i18n.Text{}
}

// sameJSON reports whether two texts are the same JSON object or array.
func sameJSON(a, b string) bool {
	if !strings.ContainsAny(a[:min(1, len(a))], "{[") {
		return false
	}
	x, y := jsontext.Value(a), jsontext.Value(b)
	return x.Canonicalize() == nil && y.Canonicalize() == nil && string(x) == string(y)
}

// seen returns a text without its invisible characters.
func seen(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r != '\u3000' && unicode.Is(unicode.Zs, r):
			return ' '
		case visible.Hidden(r) && r != '\u3000':
			return -1
		}
		return r
	}, text)
}

// narrow returns a text with plain characters in the place of full-width ones.
func narrow(text string) string {
	return strings.Map(func(r rune) rune {
		n, _ := visible.Narrow(r)
		return n
	}, text)
}

var unicodeEscapes = regexp.MustCompile(`(\\u[0-9a-fA-F]{4})+`)

func unescapeUnicode(text string) string {
	return unicodeEscapes.ReplaceAllStringFunc(text, func(escapes string) string {
		decoded, err := jsontext.AppendUnquote(nil, `"`+escapes+`"`)
		if err != nil {
			return escapes
		}
		return string(decoded)
	})
}

func unescapeURL(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	return text
}

func unquote(text string) string {
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		return text[1 : len(text)-1]
	}
	return text
}

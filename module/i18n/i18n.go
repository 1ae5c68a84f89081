// Package i18n provides the texts that people read, in English and in Chinese.
//
// A text stands where it is used, as an English template of package fmt. The
// catalogue of this package, in the files chinese*.go, has the Chinese template
// for each of them. A test reads the source of the product and fails where a
// template has no translation, or a translation has no template.
//
// A template is written down in the source, so it holds no value of a message, no
// key and no secret. What its arguments may hold is up to the caller, as with
// package fmt.
package i18n

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"

	"golang.org/x/text/language"
)

// Language is one of the languages of the product.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Known reports whether l is a language of the product.
func (l Language) Known() bool { return l == English || l == Chinese }

// current is the language of this process. It is read by String and Error, and so
// by every log: a server that has started sets it to English.
var current atomic.Value

// Use sets the language in which String, Error and Fprintf write, for the whole
// process. Commands call it before they print anything.
func Use(l Language) { current.Store(l) }

// Current returns the language of the process: English, unless Use has set another.
func Current() Language {
	if l, ok := current.Load().(Language); ok {
		return l
	}
	return English
}

// FromEnvironment returns the language of a terminal's user, as the first of LC_ALL,
// LC_MESSAGES and LANG that is not empty says it. Getenv is os.Getenv.
func FromEnvironment(getenv func(string) string) Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := getenv(name); value != "" {
			if strings.HasPrefix(strings.ToLower(value), "zh") {
				return Chinese
			}
			return English
		}
	}
	return English
}

var matcher = language.NewMatcher([]language.Tag{language.English, language.Chinese})

// Accepted returns the language that an Accept-Language header prefers (RFC 9110,
// section 12.5.4), or byDefault where the header is empty, malformed or names
// neither language.
func Accepted(header string, byDefault Language) Language {
	if header == "" || len(header) > 1024 {
		return byDefault
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return byDefault
	}
	for _, tag := range tags { // in the order of their weights
		switch _, i, confidence := matcher.Match(tag); {
		case confidence == language.No:
		case i == 1:
			return Chinese
		default:
			return English
		}
	}
	return byDefault
}

// Text is a text in every language.
type Text struct {
	template string
	args     []any
}

// T makes a text of an English template and its arguments, as fmt.Sprintf takes
// them. The template must be in the catalogue.
func T(template string, args ...any) Text { return Text{template, args} }

// Translate returns a text that stands in the source as data, such as the help of a
// command, in the language of the process.
func Translate(text string) string { return T(text).String() }

// Join returns the texts joined without a separator.
func Join(texts ...Text) Text {
	args := make([]any, len(texts))
	for i, t := range texts {
		args[i] = t
	}
	return Text{strings.Repeat("%s", len(texts)), args}
}

// Of returns the text of an error: in other languages where it, or what stands in it,
// was made by Errorf.
func Of(err error) Text { return Text{"%w", []any{err}} }

// IsZero reports whether there is no text.
func (t Text) IsZero() bool { return t.template == "" }

// In returns the text in a language.
func (t Text) In(l Language) string {
	template := t.template
	if l == Chinese {
		if translated, ok := chinese()[template]; ok {
			template = translated
		}
	}
	if len(t.args) == 0 {
		return strings.ReplaceAll(template, "%%", "%")
	}
	args := make([]any, len(t.args))
	for i, arg := range t.args {
		if args[i] = arg; arg == nil {
			continue
		}
		switch arg := arg.(type) {
		case interface{ In(l Language) string }:
			args[i] = arg.In(l)
		case *fs.PathError:
			args[i] = In(l, arg)
		}
	}
	return fmt.Sprintf(strings.ReplaceAll(template, "%w", "%v"), args...)
}

// String returns the text in the language of the process.
func (t Text) String() string { return t.In(Current()) }

// Sprintf is T(template, args...).String().
func Sprintf(template string, args ...any) string { return T(template, args...).String() }

// Fprintf writes a text in the language of the process.
func Fprintf(w io.Writer, template string, args ...any) {
	_, _ = io.WriteString(w, Sprintf(template, args...)) // a closed terminal is no error
}

// In returns the text of an error in a language; in English where nobody has
// translated it.
func In(l Language, err error) string {
	if in, ok := err.(interface{ In(l Language) string }); ok { //nolint:errorlint // the text of a wrapped error is another one
		return in.In(l)
	}
	if path, ok := err.(*fs.PathError); ok && l == Chinese { //nolint:errorlint // as above
		if text := fileError(path); text != "" {
			return text
		}
	}
	return err.Error()
}

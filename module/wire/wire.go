// Package wire reads and writes the formats in which payloads travel besides
// JSON: forms, query strings, flat XML and bare text.
//
// What is read becomes the text of a JSON object whose members are strings, in
// the order in which they came; what is written are the members of an object.
// Reading is strict: what two parsers could read differently (a field that
// occurs twice, mixed content, an entity) is refused, because such a
// difference is a way to sign one amount and book another.
//
// Errors name a field at most, made printable and cut, and never hold a value.
// Byte order marks and limits of size are the caller's.
package wire

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// The ways in which a payload can fail. Errors of this package wrap one of them.
var (
	ErrSyntax    = i18n.Errorf("not well formed")
	ErrCharset   = i18n.Errorf("in another charset")
	ErrDuplicate = i18n.Errorf("a field occurs twice")
	ErrNested    = i18n.Errorf("an object or a list has no place in it; send it as a string")
	ErrWrite     = i18n.Errorf("it cannot be written in this format")
)

// Options say how a payload is written on the wire. The zero Options are a
// UTF-8 form, or XML with the root <xml>.
type Options struct {
	// Charset is what travels: utf-8 (the default), gbk or gb18030.
	Charset string

	// Raw is for a form that is not URL-encoded: it is split at each &, and at
	// the first = of each piece.
	Raw bool

	// Root is the name of the root element of XML (xml when writing, any when
	// reading), or of the member that a bare text becomes (text).
	Root string

	// Nested is for XML whose elements have elements and attributes.
	Nested bool

	// CDATA writes the values of XML in CDATA sections.
	CDATA bool
}

// Check returns an error for an unknown charset, or for a root that is not a name.
func (o Options) Check() error {
	if _, err := o.charset(); err != nil {
		return err
	}
	if o.Root != "" && !isXMLName(o.Root) && !(o.Nested && isPrefixedName(o.Root)) {
		return i18n.Errorf("root %s is not a name of ASCII letters, digits, hyphens, underscores and dots", body.ShowName(o.Root))
	}
	return nil
}

func (o Options) charset() (encoding.Encoding, error) {
	switch o.Charset {
	case "", "utf-8", "utf8", "UTF-8":
		return nil, nil
	case "gbk", "GBK", "gb2312", "GB2312":
		return simplifiedchinese.GBK, nil
	case "gb18030", "GB18030":
		return simplifiedchinese.GB18030, nil
	}
	return nil, i18n.Errorf("charset is utf-8, gbk or gb18030, not %s", body.ShowName(o.Charset))
}

// decode makes UTF-8 of a text on the wire.
func (o Options) decode(text []byte) ([]byte, error) {
	charset, err := o.charset()
	if err != nil {
		return nil, err
	}
	if charset != nil {
		decoded, err := charset.NewDecoder().Bytes(text)
		if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
			return nil, i18n.Errorf("not valid %s: %w", o.Charset, ErrCharset)
		}
		return decoded, nil
	}
	switch {
	case utf8.Valid(text):
		return text, nil
	case body.LooksLikeGBK(text):
		return nil, i18n.Errorf("not UTF-8; it looks like GBK: %w", ErrCharset)
	}
	return nil, i18n.Errorf("not UTF-8: %w", ErrCharset)
}

// encode makes a text on the wire of the value of a field.
func (o Options) encode(field, text []byte) ([]byte, error) {
	charset, err := o.charset()
	if err != nil {
		return nil, err
	}
	if charset == nil {
		if !utf8.Valid(text) {
			return nil, i18n.Errorf("field %s is not UTF-8: %w", body.ShowName(field), ErrCharset)
		}
		return text, nil
	}
	encoded, err := charset.NewEncoder().Bytes(text)
	if err != nil {
		return nil, i18n.Errorf("field %s has a character that %s does not have: %w", body.ShowName(field), o.Charset, ErrCharset)
	}
	return encoded, nil
}

// ParseJSON makes UTF-8 of a JSON text in the charset of o. Without a charset it is
// left as it is.
func ParseJSON(raw []byte, o Options) ([]byte, error) {
	if o.Charset == "" {
		return raw, nil
	}
	return o.decode(raw)
}

// FormatJSON writes a JSON text in the charset of o.
func FormatJSON(text []byte, o Options) ([]byte, error) {
	charset, err := o.charset()
	if charset == nil || err != nil {
		return text, err
	}
	encoded, err := charset.NewEncoder().Bytes(text)
	if err != nil {
		return nil, i18n.Errorf("it has a character that %s does not have: %w", o.Charset, ErrCharset)
	}
	return encoded, nil
}

// object writes the text of a JSON object, one string at a time.
type object struct {
	text []byte
	seen map[string]bool
}

func newObject(size int) *object {
	return &object{text: append(make([]byte, 0, size+size/2), '{'), seen: make(map[string]bool)}
}

// add adds a member. Name and value must be UTF-8.
func (o *object) add(name, value []byte) error {
	if o.seen[string(name)] {
		return i18n.Errorf("field %s: %w", body.ShowName(name), ErrDuplicate)
	}
	o.seen[string(name)] = true
	if len(o.text) > 1 {
		o.text = append(o.text, ',')
	}
	o.text = append(body.AppendQuote(o.text, name), ':')
	o.text = body.AppendQuote(o.text, value)
	return nil
}

func (o *object) end() []byte { return append(o.text, '}') }

// fields calls write for each member that travels. Null travels in none of the
// formats: the field is absent then.
func fields(members []body.Member, write func(name, value []byte) error) error {
	for _, m := range members {
		switch {
		case m.IsNull():
			continue
		case !m.IsScalar():
			return i18n.Errorf("member %s: %w", body.ShowName(m.Name()), ErrNested)
		}
		if err := write(m.Name(), m.Text()); err != nil {
			return err
		}
	}
	return nil
}

// ParseText reads a bare text: its JSON object has one member, called as
// o.Root says.
func ParseText(raw []byte, o Options) ([]byte, error) {
	text, err := o.decode(raw)
	if err != nil {
		return nil, i18n.Errorf("the text is %w", err)
	}
	out := newObject(len(text))
	if err := out.add([]byte(o.textName()), text); err != nil {
		return nil, err
	}
	return out.end(), nil
}

// FormatText writes the only member as a bare text.
func FormatText(members []body.Member, o Options) ([]byte, error) {
	if len(members) != 1 || string(members[0].Name()) != o.textName() {
		return nil, i18n.Errorf("a bare text is an object with the one member %s: %w", o.textName(), ErrWrite)
	}
	var out []byte
	err := fields(members, func(name, value []byte) (err error) {
		out, err = o.encode(name, value)
		return err
	})
	return out, err
}

func (o Options) textName() string {
	if o.Root == "" {
		return "text"
	}
	return o.Root
}

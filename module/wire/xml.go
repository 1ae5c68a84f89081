package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// ParseXML reads flat XML: a root element, and in it elements that hold text or
// CDATA only, each of which becomes a member. The text of an element is taken
// as it is, blanks included. Refused are elements in elements, text beside
// them, comments, processing instructions, DTDs, entities other than XML's own
// five, attributes (but for namespaces of the root, which mean nothing here) and
// names with a colon. With o.Nested elements stand in elements, see treeReader.
func ParseXML(raw []byte, o Options) ([]byte, error) {
	text, err := o.decode(raw)
	if err != nil {
		return nil, i18n.Errorf("the XML is %w", err)
	}
	if o.Nested {
		return parseXMLTree(text, o)
	}
	r := xmlReader{d: xml.NewDecoder(bytes.NewReader(text)), root: o.Root, out: newObject(len(text))}
	r.d.CharsetReader = declared
	for {
		token, err := r.d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.read(token)
		} else { // the library's error can quote the text
			err = i18n.Errorf("the XML is %w near byte %d", ErrSyntax, r.d.InputOffset())
		}
		if err != nil {
			return nil, err
		}
	}
	if !r.done {
		return nil, i18n.Errorf("the XML is %w: it ends too early", ErrSyntax)
	}
	return r.out.end(), nil
}

// declared takes the encoding that an XML declaration names, which says nothing here: the
// text is UTF-8 by now. One in which markup is not written as in ASCII, such as UTF-7, is
// refused: nothing signs the declaration, and whoever reads the XML as it came would find
// other elements in it.
func declared(name string, in io.Reader) (io.Reader, error) {
	name = strings.ToLower(name)
	if !slices.ContainsFunc([]string{"utf8", "us-ascii", "ascii", "iso-8859-", "latin1", "windows-", "gb", "x-gbk", "cp936", "big5", "euc-"}, func(known string) bool {
		return strings.HasPrefix(name, known)
	}) {
		return nil, ErrCharset
	}
	return in, nil
}

// xmlReader reads tokens one behind the other.
type xmlReader struct {
	d    *xml.Decoder
	out  *object
	root string // its name, once it is read; before, the name that it must have, if any

	begun, inRoot, inField, done bool

	field string
	value []byte
}

func (r *xmlReader) read(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return r.start(t)
	case xml.EndElement:
		return r.close(t.Name)
	case xml.CharData:
		if r.inField {
			r.value = append(r.value, t...)
			return nil
		}
		if len(bytes.Trim(t, " \t\r\n")) > 0 {
			return r.refuse("there is text beside the elements")
		}
		return nil
	case xml.ProcInst:
		if t.Target == "xml" && !r.begun && !r.inRoot {
			r.begun = true
			return nil
		}
		return r.refuse("it has a processing instruction")
	case xml.Comment:
		return r.refuse("it has a comment")
	default:
		return r.refuse("it has a DTD or another directive")
	}
}

func (r *xmlReader) start(t xml.StartElement) error {
	switch {
	case t.Name.Space != "":
		return r.refuse("a name has a colon")
	case r.done:
		return r.refuse("there is more behind the root")
	case r.inField:
		return i18n.Errorf("element %s: %w", body.ShowName(r.field), ErrNested)
	case r.inRoot:
		if len(t.Attr) > 0 {
			return i18n.Errorf("element %s has attributes, which nothing signs: %w", body.ShowName(t.Name.Local), ErrSyntax)
		}
		r.inField, r.field, r.value = true, t.Name.Local, r.value[:0]
	case r.root != "" && r.root != t.Name.Local:
		return i18n.Errorf("the root of the XML is not %s: %w", r.root, ErrSyntax)
	case slices.ContainsFunc(t.Attr, isNoNamespace):
		return i18n.Errorf("element %s has attributes, which nothing signs: %w", body.ShowName(t.Name.Local), ErrSyntax)
	default:
		r.begun, r.inRoot, r.root = true, true, t.Name.Local
	}
	return nil
}

// isNoNamespace reports whether an attribute says something about the message.
func isNoNamespace(a xml.Attr) bool {
	return a.Name.Space != "xmlns" && a.Name.Space != "xsi" && (a.Name.Space != "" || a.Name.Local != "xmlns")
}

func (r *xmlReader) close(name xml.Name) error {
	open := r.root
	if r.inField {
		open = r.field
	}
	if !r.inRoot || name.Space != "" || name.Local != open {
		return r.refuse("an element ends that did not begin")
	}
	if !r.inField {
		r.inRoot, r.done = false, true
		return nil
	}
	r.inField = false
	return r.out.add([]byte(r.field), r.value)
}

func (r *xmlReader) refuse(why string) error {
	return i18n.Errorf("the XML is %w near byte %d: %s", ErrSyntax, r.d.InputOffset(), why)
}

// FormatXML writes members as flat XML. A member that is null is left out. Names
// are ASCII letters, digits, - _ and . only; control characters that XML does
// not have are refused.
func FormatXML(members []body.Member, o Options) ([]byte, error) {
	root := o.Root
	if root == "" {
		root = "xml"
	}
	var out bytes.Buffer
	charset, err := o.charset()
	switch {
	case err != nil:
		return nil, err
	case !isXMLName(root) && !(o.Nested && isPrefixedName(root)):
		return nil, i18n.Errorf("root %s: %w", body.ShowName(root), ErrWrite)
	case charset != nil:
		fmt.Fprintf(&out, `<?xml version="1.0" encoding="%s"?>`, strings.ToUpper(o.Charset))
	}
	if o.Nested {
		if err := writeXMLTree(&out, root, members, 0, o); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}
	fmt.Fprintf(&out, "<%s>", root)
	err = fields(members, func(name, value []byte) error {
		if !isXMLName(string(name)) {
			return i18n.Errorf("field %s has no name that XML can have: %w", body.ShowName(name), ErrWrite)
		}
		if !isXMLText(value) {
			return i18n.Errorf("field %s has a character that XML does not have: %w", body.ShowName(name), ErrWrite)
		}
		if value, err = o.encode(name, o.xmlText(value)); err != nil {
			return err
		}
		fmt.Fprintf(&out, "<%s>%s</%s>", name, value, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "</%s>", root)
	return out.Bytes(), nil
}

// xmlText escapes a value. A carriage return needs a reference, which CDATA
// cannot hold.
func (o Options) xmlText(value []byte) []byte {
	if o.CDATA && bytes.IndexByte(value, '\r') < 0 {
		inner := bytes.ReplaceAll(value, []byte("]]>"), []byte("]]]]><![CDATA[>"))
		return bytes.Join([][]byte{[]byte("<![CDATA["), inner, []byte("]]>")}, nil)
	}
	return []byte(xmlEscapes.Replace(string(value)))
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "\r", "&#13;")

// isXMLName reports whether name is an element's, as far as every parser agrees
// about it.
func isXMLName(name string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return name != ""
}

// isXMLText reports whether a text is UTF-8 of characters that XML 1.0 has.
func isXMLText(text []byte) bool {
	return utf8.Valid(text) && !bytes.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

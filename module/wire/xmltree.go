package wire

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// maxXMLDepth bounds how deep elements nest.
const maxXMLDepth = 16

// treeReader reads XML whose elements nest: an element with elements in it is an
// object, an attribute a member behind "@", and text beside attributes the member
// "#text". An element that occurs twice in another one is refused, as is what
// flat XML refuses.
type treeReader struct {
	d   *xml.Decoder
	out []byte
}

func parseXMLTree(text []byte, o Options) ([]byte, error) {
	r := &treeReader{d: xml.NewDecoder(bytes.NewReader(text))}
	r.d.CharsetReader = declared
	for begun, rooted := false, false; ; begun = true {
		token, err := r.d.RawToken()
		switch t := token.(type) {
		case nil:
			if rooted && err == io.EOF { //nolint:errorlint // the library returns it bare
				return r.out, nil
			}
			return nil, r.refuse("it ends too early, or is broken")
		case xml.StartElement:
			if rooted {
				return nil, r.refuse("there is more behind the root")
			}
			if o.Root != "" && o.Root != xmlName(t.Name) {
				return nil, i18n.Errorf("the root of the XML is not %s: %w", o.Root, ErrSyntax)
			}
			rooted = true
			if err := r.element(t, 0); err != nil {
				return nil, err
			}
			if r.out[0] != '{' { // the root holds text alone
				r.out = append(append([]byte(`{"#text":`), r.out...), '}')
			}
		case xml.CharData:
			if len(bytes.Trim(t, " \t\r\n")) > 0 {
				return nil, r.refuse("there is text beside the elements")
			}
		case xml.ProcInst:
			if t.Target != "xml" || begun {
				return nil, r.refuse("it has a processing instruction")
			}
		default:
			return nil, r.refuse("it has a comment, a DTD or another directive")
		}
	}
}

// element writes the value of an element, up to its end.
func (r *treeReader) element(start xml.StartElement, depth int) error {
	if depth == maxXMLDepth {
		return r.refuse("its elements nest too deep")
	}
	seen := make(map[string]bool)
	name := func(text string) error {
		if seen[text] {
			return i18n.Errorf("field %s: %w", body.ShowName(text), ErrDuplicate)
		}
		r.out = append(r.out, ",{"[btoi(len(seen) == 0)])
		seen[text] = true
		r.out = append(body.AppendQuote(r.out, text), ':')
		return nil
	}
	for _, a := range start.Attr {
		if err := name("@" + xmlName(a.Name)); err != nil {
			return err
		}
		r.out = body.AppendQuote(r.out, a.Value)
	}
	var text []byte
	inner := false
	for {
		token, _ := r.d.RawToken()
		switch t := token.(type) {
		case xml.StartElement:
			inner = true
			if err := name(xmlName(t.Name)); err != nil {
				return err
			}
			if err := r.element(t, depth+1); err != nil {
				return err
			}
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			switch {
			case xmlName(t.Name) != xmlName(start.Name):
				return r.refuse("an element ends that did not begin")
			case inner && len(bytes.Trim(text, " \t\r\n")) > 0:
				return r.refuse("there is text beside the elements")
			case len(seen) == 0:
				r.out = body.AppendQuote(r.out, text)
				return nil
			case !inner:
				if err := name("#text"); err != nil {
					return err
				}
				r.out = body.AppendQuote(r.out, text)
			}
			r.out = append(r.out, '}')
			return nil
		case nil:
			return r.refuse("it ends too early, or is broken")
		default:
			return r.refuse("it has a comment, a DTD or another directive")
		}
	}
}

func (r *treeReader) refuse(why string) error {
	return i18n.Errorf("the XML is %w near byte %d: %s", ErrSyntax, r.d.InputOffset(), why)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func xmlName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// writeXMLTree writes an element, with what parseXMLTree makes of one.
func writeXMLTree(out *bytes.Buffer, name string, members []body.Member, depth int, o Options) error {
	if depth == maxXMLDepth {
		return i18n.Errorf("field %s: its elements nest too deep: %w", body.ShowName(name), ErrWrite)
	}
	if !isPrefixedName(name) {
		return i18n.Errorf("field %s has no name that XML can have: %w", body.ShowName(name), ErrWrite)
	}
	fmt.Fprintf(out, "<%s", name)
	for _, m := range members {
		if attribute, ok := strings.CutPrefix(string(m.Name()), "@"); ok {
			if !isPrefixedName(attribute) || !m.IsScalar() || !isXMLText(m.Text()) {
				return i18n.Errorf("attribute %s cannot be written: %w", body.ShowName(attribute), ErrWrite)
			}
			value, err := o.encode(m.Name(), []byte(xmlEscapes.Replace(string(m.Text()))))
			if err != nil {
				return err
			}
			fmt.Fprintf(out, ` %s="%s"`, attribute, value)
		}
	}
	out.WriteByte('>')
	for _, m := range members {
		child := string(m.Name())
		switch {
		case strings.HasPrefix(child, "@") || m.IsNull():
		case m.Kind() == body.Array:
			return i18n.Errorf("member %s: %w", body.ShowName(child), ErrNested)
		case !m.IsScalar():
			inner, ok := m.Object()
			if !ok {
				return i18n.Errorf("member %s: %w", body.ShowName(child), ErrNested)
			}
			if err := writeXMLTree(out, child, inner.Members(), depth+1, o); err != nil {
				return err
			}
		case !isXMLText(m.Text()) || child != "#text" && !isPrefixedName(child):
			return i18n.Errorf("field %s cannot be written: %w", body.ShowName(child), ErrWrite)
		default:
			value, err := o.encode(m.Name(), o.xmlText(m.Text()))
			if err != nil {
				return err
			}
			if child == "#text" {
				out.Write(value)
			} else {
				fmt.Fprintf(out, "<%s>%s</%s>", child, value, child)
			}
		}
	}
	fmt.Fprintf(out, "</%s>", name)
	return nil
}

// isPrefixedName reports whether name is an element's, perhaps behind a prefix.
func isPrefixedName(name string) bool {
	prefix, local, ok := strings.Cut(name, ":")
	return isXMLName(prefix) && (!ok || isXMLName(local))
}

// Package attack makes the changed forms of a genuine message that an attacker between
// the two sides could make without a key. The recipe says what a signature covers, and
// so which of them must be refused.
package attack

import (
	"bytes"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Case is a changed form of a message.
type Case struct {
	Name    i18n.Text
	Message *message.Message // as on the wire, not read

	// Refused says that the message must be refused: the change is to something that is
	// signed, or makes the message ambiguous. Otherwise the signature does not cover
	// the change, and must still verify.
	Refused bool

	// Path is the member that was changed, or nil.
	Path body.Path
}

// Cases returns the changed forms of a genuine message. Other, if not nil, is another
// genuine message of the same kind; one form has its signature.
func Cases(p *recipe.Program, m, other *message.Message) []Case {
	d := p.Describe()
	a := &attacker{kind: m.Kind, genuine: m, other: other, signed: p.Signed(m.Kind)}
	a.direction = map[message.Kind]*scheme.Direction{message.Request: d.Request, message.Answer: d.Answer, message.Notification: d.Notification}[m.Kind]
	if a.direction == nil {
		return nil
	}
	a.format = a.direction.Format
	a.members()
	a.fields()
	a.bytes()
	a.ciphertext()
	a.signatures()
	a.headers()
	a.target()
	return a.cases
}

type attacker struct {
	kind           message.Kind
	genuine, other *message.Message
	direction      *scheme.Direction
	format         message.Format
	signed         recipe.Signed
	cases          []Case
}

// read returns the genuine message with its payload at hand. A payload that is encrypted
// as a whole has no members.
func (a *attacker) read(m *message.Message) *message.Message {
	for _, sealed := range []bool{a.format.Sealed, true} {
		fresh := *m
		fresh.Header = m.Header.Clone()
		fresh.Payload, fresh.Form, fresh.Inner = nil, nil, nil
		format := a.format
		format.Sealed = sealed
		if format.Read(&fresh) == nil {
			return &fresh
		}
	}
	return nil
}

// add adds a case of the message with an edit to its payload, its fields, or its
// head.
func (a *attacker) add(name i18n.Text, refused bool, path body.Path, edit func(m *message.Message)) {
	m := a.read(a.genuine)
	if m == nil {
		return
	}
	edit(m)
	if a.write(m) {
		a.cases = append(a.cases, Case{name, m, refused, path})
	}
}

// write writes what was edited to the wire.
func (a *attacker) write(m *message.Message) bool {
	payloadEdited := m.Payload != nil && m.Payload.Edited()
	formEdited := m.Form != nil && m.Form.Edited()
	if payloadEdited || formEdited {
		text := m.Inner
		if payloadEdited || a.format.Wrap == nil {
			var err error
			if text, err = a.format.Write(m.Payload); err != nil {
				return false
			}
		}
		switch {
		case a.format.Wrap != nil && a.fieldEdited(m):
			raw, err := message.Format{Kind: a.format.Wrap.Kind}.Write(m.Form)
			if err != nil {
				return false
			}
			text = raw
		case a.format.Wrap != nil:
			raw, err := a.format.WriteWrapped(m.Form, text)
			if err != nil {
				return false
			}
			text = raw
		}
		if len(m.Wire) == 0 && m.Query != "" {
			m.Query = string(text)
		} else {
			m.Wire = text
		}
	}
	m.SetPayload(nil)
	m.Form, m.Inner = nil, nil
	return true
}

// fieldEdited reports whether the field that holds the payload was itself edited.
func (a *attacker) fieldEdited(m *message.Message) bool {
	if m.Form == nil || a.format.Wrap.Field == "" {
		return false
	}
	was := a.read(a.genuine)
	before, _ := was.Form.Get(body.Path{a.format.Wrap.Field})
	now, ok := m.Form.Get(body.Path{a.format.Wrap.Field})
	return !ok || !bytes.Equal(before.Raw(), now.Raw())
}

// covered reports whether a signature covers a member of the payload, or the field
// or the bytes in which the payload travels.
func (a *attacker) covered(path body.Path) bool {
	if a.direction.Covers(path) {
		return true
	}
	return !a.isPlace("body."+path.String()) && a.wrapCovered()
}

func (a *attacker) wrapCovered() bool {
	return a.format.Wrap != nil && (a.signed.AllFields || slices.Contains(a.signed.Fields, a.format.Wrap.Field))
}

func (a *attacker) isPlace(place string) bool { return slices.Contains(a.signed.Places, place) }

func (a *attacker) isRead(path body.Path) bool {
	return slices.ContainsFunc(a.direction.Reads, func(read body.Path) bool { return slices.Equal(read, path) })
}

// leaf is a scalar of the payload.
type leaf struct {
	path body.Path
	m    body.Member
}

func leaves(tree *body.Tree) []leaf {
	var out []leaf
	var walk func(tree *body.Tree, at body.Path)
	walk = func(tree *body.Tree, at body.Path) {
		for i, m := range tree.Members() {
			name := string(m.Name())
			if tree.IsList() {
				name = strconv.Itoa(i)
			}
			path := append(slices.Clone(at), name)
			if inner := tree.At(body.Path{name}); !m.IsScalar() && inner != nil && len(path) < 8 {
				walk(inner, path)
			} else if m.IsScalar() && !m.IsEmpty() {
				out = append(out, leaf{path, m})
			}
		}
	}
	if tree != nil {
		walk(tree, nil)
	}
	return out
}

// canonicalHeader returns a header's name as it stands in a map.
func canonicalHeader(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// cutPlace splits body.sign into body and sign, and header.X.key into header, X and
// key.
func cutPlace(place string) (kind, name, key string) {
	kind, name, _ = strings.Cut(place, ".")
	if kind == "header" {
		name, key, _ = strings.Cut(name, ".")
	}
	return kind, name, key
}

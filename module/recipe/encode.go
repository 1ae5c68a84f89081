package recipe

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// encode compiles "encode <part>... <mode>", as in: encode query.* body.* form. Values
// are percent-encoded once more than the format does it. It stands behind sign where the
// signature covers what is encoded once.
func (c *compiler) encode(b *requestBlock, l Line) (func(*sealing) error, error) {
	usage := l.errorf("encode takes query.* or members, and one of rfc3986, form, java and dotnet, as in: encode query.* body.* form")
	words, err := c.words(l)
	if err != nil {
		return nil, err
	}
	n := len(words) - 1
	if n < 2 || len(l.Block) > 0 || !slices.Contains([]string{"rfc3986", "form", "java", "dotnet"}, words[n]) {
		return nil, usage
	}
	change, err := canonical.URL(words[n])
	if err != nil {
		return nil, l.errorf("%w", err)
	}
	query := slices.Contains(words[1:n], "query.*")
	members := slices.DeleteFunc(slices.Clone(words[1:n]), func(word string) bool { return word == "query.*" })
	for _, word := range members {
		if !strings.HasPrefix(word, "body.") {
			return nil, usage
		}
	}
	paths, err := c.paths(l, members)
	if err != nil {
		return nil, err
	}
	b.statements = append(b.statements, statement{encoded: &encoded{query, paths, change}})
	return func(s *sealing) error {
		if query {
			if err := s.encodeQuery(change); err != nil {
				return err
			}
		}
		if s.m.Payload == nil {
			return nil
		}
		for _, path := range paths {
			eachPath(s.m.Payload, path, func(_ body.Path, r body.Ref) {
				if m := r.Member(); m.IsScalar() && !m.IsEmpty() {
					text, _ := change(slices.Clone(m.Text())) // it never fails
					r.SetString(text)
				}
			})
		}
		return nil
	}, nil
}

// encoded is what encode has encoded.
type encoded struct {
	query  bool
	paths  []body.Path
	change canonical.Change
}

// plain returns what encode has encoded, of a text that encode could have written.
func (e *encoded) plain(text string) (string, bool) {
	plain, err := url.QueryUnescape(text)
	if err != nil || !utf8.ValidString(plain) {
		return "", false
	}
	again, err := e.change([]byte(plain))
	return plain, err == nil && string(again) == text
}

// decode undoes encode, in a request that came in.
func (u *undoing) decode(e *encoded) error {
	refused := scheme.Failf(scheme.BadSignature, "a value is not percent-encoded as the recipe says")
	if e.query {
		params, err := u.m.Params()
		if err != nil {
			return invalid(err)
		}
		for _, p := range params {
			text, ok := e.plain(p.Value)
			if !ok {
				return refused
			}
			u.m.SetParam(p.Name, text)
		}
	}
	if u.m.Payload == nil {
		return nil
	}
	failed := false
	for _, path := range e.paths {
		eachPath(u.m.Payload, path, func(_ body.Path, r body.Ref) {
			m := r.Member()
			if !m.IsScalar() || m.IsEmpty() {
				return
			}
			text, ok := e.plain(string(m.Text()))
			if !ok {
				failed = true
				return
			}
			r.SetString([]byte(text))
			u.edited = true
		})
	}
	if failed {
		return refused
	}
	return nil
}

// encodeQuery encodes the values of the query.
func (s *sealing) encodeQuery(change canonical.Change) error {
	params, err := s.m.Params()
	if err != nil {
		return invalid(err)
	}
	for _, p := range params {
		text, err := change([]byte(p.Value))
		if err != nil {
			return invalid(err)
		}
		s.m.SetParam(p.Name, string(text))
	}
	return nil
}

package inspector

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// maxRows is how many members of a message are shown beside each other.
const maxRows = 2000

// row is one member of a message on its way, before and after a step.
type row struct {
	Path    string   `json:"path"`
	Before  *string  `json:"before"` // as JSON; nil where it is not there
	After   *string  `json:"after"`
	Marks   []string `json:"marks,omitempty"`
	Covered bool     `json:"covered"` // by a signature

	path          body.Path
	before, after body.Member
}

// payload reads the members of a message, or nil where there are none that can be
// read.
func payload(s scheme.Scheme, p *recorder.Part) *body.Tree {
	if p == nil || p.Cut {
		return nil
	}
	m := p.Message
	if m.Header == nil {
		m.Header = make(map[string][]string)
	}
	d := s.Describe()
	direction := map[message.Kind]*scheme.Direction{message.Request: d.Request, message.Answer: d.Answer, message.Notification: d.Notification}[m.Kind]
	if o, err := body.Parse(m.Wire); err == nil { // what an application sends and gets is mostly JSON
		return body.NewTree(o)
	}
	if direction != nil && direction.Format.Read(&m) == nil && m.Payload != nil {
		return m.Payload
	}
	return nil
}

// comparison puts two messages beside each other.
type comparison struct {
	covers func(body.Path) bool
	rows   []row
}

// compare walks through two objects or lists, of which one may be nil.
func (c *comparison) compare(before, after *body.Tree, at body.Path) {
	for _, name := range names(before, after) {
		path := append(slices.Clone(at), name)
		a, inA := get(before, name)
		b, inB := get(after, name)
		x, y := open(before, name, a, inA), open(after, name, b, inB)
		sameShape := x != nil && y != nil && x.IsList() == y.IsList() || x != nil && !inB || y != nil && !inA
		if sameShape && len(path) < 32 {
			c.compare(x, y, path)
			continue
		}
		if len(c.rows) < maxRows {
			c.rows = append(c.rows, row{Path: path.String(), Before: shown(a, inA), After: shown(b, inB), Covered: c.covers != nil && c.covers(path), path: path, before: a, after: b})
		}
	}
}

// names returns those of the members of both, in the order of the first.
func names(trees ...*body.Tree) []string {
	var all []string
	seen := make(map[string]bool)
	for _, t := range trees {
		if t == nil {
			continue
		}
		for i, m := range t.Members() {
			name := string(m.Name())
			if t.IsList() {
				name = strconv.Itoa(i)
			}
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	return all
}

func get(t *body.Tree, name string) (body.Member, bool) {
	if t == nil {
		return body.Member{}, false
	}
	return t.Get(body.Path{name})
}

// open returns what is in a member that is an object or a list with something in it.
func open(t *body.Tree, name string, m body.Member, there bool) *body.Tree {
	if !there || m.IsScalar() {
		return nil
	}
	inner := t.At(body.Path{name})
	if inner == nil || len(inner.Members()) == 0 {
		return nil
	}
	return inner
}

func shown(m body.Member, there bool) *string {
	if !there {
		return nil
	}
	text := string(m.Raw())
	if !m.IsScalar() {
		text = string(m.Compact())
	}
	return &text
}

// differs reports whether a member is not the same before and after.
func (r *row) differs() bool {
	return r.Before == nil || r.After == nil || *r.Before != *r.After
}

func within(paths []body.Path, path body.Path) bool {
	return slices.ContainsFunc(paths, func(p body.Path) bool { return p.Covers(path) || slices.Equal(p, path) })
}

// requestRows returns the members of a request, as the application sent it and as it
// left.
func requestRows(b *recorder.Bodies) []row {
	d := b.Scheme.Describe()
	c := &comparison{covers: d.Request.Covers}
	c.compare(payload(b.Scheme, b.Posted), payload(b.Scheme, b.Sent), nil)
	signs := signaturePaths(b.Sealed, nil)
	for i := range c.rows {
		r := &c.rows[i]
		switch {
		case b.Sent == nil:
		case within(signs, r.path):
			r.Marks = append(r.Marks, "signature")
		case within(b.Encrypted, r.path):
			r.Marks = append(r.Marks, "encrypted")
		case within(b.Strings, r.path) && r.differs():
			r.Marks = append(r.Marks, "string")
		case r.Before == nil:
			r.Marks = append(r.Marks, "added")
		case r.After == nil:
			r.Marks = append(r.Marks, "removed")
		case r.differs():
			r.Marks = append(r.Marks, "changed")
		}
	}
	return c.rows
}

// incomingRows returns the members of an answer or a notification, as it came and as
// the application got it.
func incomingRows(b *recorder.Bodies, direction *scheme.Direction) []row {
	c := &comparison{covers: direction.Covers}
	c.compare(payload(b.Scheme, b.Received), payload(b.Scheme, b.Handed), nil)
	var reads []body.Path
	if direction != nil {
		reads = direction.Reads
	}
	signs := signaturePaths(b.Opened, reads)
	for i := range c.rows {
		r := &c.rows[i]
		switch {
		case within(signs, r.path):
			r.Marks = append(r.Marks, "signature")
		case b.Handed == nil:
		case r.Before == nil:
			r.Marks = append(r.Marks, "added")
		case r.After == nil:
			r.Marks = append(r.Marks, "removed")
		case r.differs() && !r.after.IsAbsent() && !r.after.IsScalar() && unwraps(r):
			r.Marks = append(r.Marks, "unwrapped")
		case r.differs():
			r.Marks = append(r.Marks, "decrypted")
		}
	}
	return c.rows
}

// unwraps reports whether a member was a string holding the JSON that it is now.
func unwraps(r *row) bool {
	if r.before.Kind() != body.String {
		return false
	}
	return body.Valid(r.before.Text()) == nil
}

// signatureName is what providers call the member with a signature.
var signatureName = regexp.MustCompile(`(?i)^(?:sign|signature|sign_?data|mac|hmac)$`)

// signaturePaths are where the signatures of a message stand in its body.
func signaturePaths(traces []scheme.Trace, reads []body.Path) []body.Path {
	var paths []body.Path
	for _, t := range traces {
		if text, ok := strings.CutPrefix(t.Where, "body."); ok {
			if path, err := body.ParsePath(text); err == nil {
				paths = append(paths, path)
			}
		}
	}
	if len(traces) == 0 {
		for _, path := range reads {
			if signatureName.MatchString(path[len(path)-1]) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

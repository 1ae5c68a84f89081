package recipe

import (
	"bytes"
	"slices"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/encoding"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// text is a text of a recipe: a builder, and changes to what it has built.
type text struct {
	name  string
	line  Line
	build builder
	steps []change

	secrets []string // the names of the secrets in it, "" for {secret}
	tail    int      // the step from which on steps append secrets; -1: secrets stand elsewhere
	covers  coverage
	size    int    // how many texts it is made of, those in it again and again
	parts   []part // every placeholder of its templates
}

// builder is what a text begins with.
type builder struct {
	template   template
	part       *textPart
	ambig      []namedPart // of a template: name={body.x}
	append     func(dst []byte, members []body.Member) (canonical.Text, error)
	appendWith func(e *env, members []body.Member) (canonical.Text, error) // instead of append
	after      template                                                    // of sorted: a text with a secret that stands behind each piece
	listed     template                                                    // of values: the secret, where the message's list says
	listedBy   []string                                                    // the member that lists the names, and the listed name of the secret, if there is one
	raw        body.Path
	json       bool
	unnamed    bool // it reads members that it does not name
	bare       bool // it writes the values of such members without their names
	shuffled   bool // it writes them in an order that their names do not decide
	upper      bool // it writes names in capitals
	inner      bool // it reads the members of objects in objects as well
}

// list notes the member of a message that lists the names, for the peer who makes one.
func (b *builder) list(names ...string) {
	if names[0] != "" {
		b.listedBy = names
	}
}

// change is a step that changes a text.
type change struct {
	run      canonical.Change
	template template // of prepend and append
	prepend  bool
	digest   bool // its result does not reveal its input
	guard    bool // refuse extension
	fold     bool // lower, upper
	loose    bool // replace, strip: some characters do not count
}

// namedPart is a placeholder of a member behind "name=".
type namedPart struct {
	name string
	path body.Path
}

// append appends the whole text, with the secrets of e in it.
func (t *text) append(dst []byte, e *env) ([]byte, error) {
	made, _, err := t.run(e, len(t.steps))
	return append(dst, made...), err
}

// run makes the text up to a step. ambiguous is an error if the text can be read in two
// ways, or nil.
func (t *text) run(e *env, steps int) (made []byte, ambiguous, err error) {
	made, ambiguous, err = t.build.run(e)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range t.steps[:steps] {
		if made, err = s.apply(made, e); err != nil {
			return nil, nil, err
		}
	}
	return made, ambiguous, nil
}

// maxMade bounds a text and a value, in bytes: a recipe that names the body again and
// again, or escapes what it has escaped, takes no memory without end.
const maxMade = 64 << 20

var errMade = scheme.Failf(scheme.Invalid, "a text that the recipe makes of the message is longer than %d bytes", maxMade)

func (s change) apply(made []byte, e *env) ([]byte, error) {
	switch {
	case s.run != nil:
		made, err := s.run(made)
		if len(made) > maxMade {
			return nil, errMade
		}
		return made, invalid(err)
	case s.prepend:
		head, err := s.template.appendTo(nil, e)
		return append(head, made...), err
	default:
		return s.template.appendTo(made, e)
	}
}

func (b builder) run(e *env) (made []byte, ambiguous, err error) {
	switch {
	case b.raw != nil:
		made, err = rawMember(e, b.raw)
		return made, nil, err
	case b.part == nil:
		if made, err = b.template.appendTo(make([]byte, 0, e.size()+tailSpace), e); err != nil {
			return nil, nil, err
		}
		if ambiguous = b.ambiguous(e); ambiguous == nil && e.m.Kind != message.Request && b.template.shifts(e) {
			ambiguous = canonical.ErrAmbiguous
		}
		return made, ambiguous, nil
	}
	members, err := b.part.members(e)
	if err != nil {
		return nil, nil, err
	}
	var text canonical.Text
	if b.appendWith != nil {
		text, err = b.appendWith(e, members)
	} else {
		text, err = b.append(nil, members)
	}
	if err != nil && len(b.part.paths) == 1 {
		err = i18n.Errorf("in %s: %w", b.part.paths[0], err)
	}
	if e.m.Kind != message.Request { // which is the application's own
		ambiguous = text.Ambiguous(e.p.decisive[e.m.Kind]...)
	}
	return text.Bytes, ambiguous, invalid(err)
}

// ambiguous returns an error if a template with name={body.x}&… can be read in two
// ways, or nil. A value that is JSON as a whole is not ambiguous: no part of it with
// text before and after is JSON.
func (b builder) ambiguous(e *env) error {
	if len(b.ambig) == 0 || e.m.Payload == nil {
		return nil
	}
	pairs := make([]canonical.Pair, 0, len(b.ambig))
	for _, p := range b.ambig {
		pair := canonical.Pair{Name: []byte(p.name)}
		if m, ok := e.m.Payload.Get(p.path); ok && m.IsScalar() {
			if value := m.Text(); bytes.IndexByte(value, '&') >= 0 && body.Valid(value) != nil {
				pair.Value = value
			}
		}
		pairs = append(pairs, pair)
	}
	return canonical.Ambiguous(pairs)
}

// signed returns what a signature covers.
func (t *text) signed(e *env) (text scheme.Text, ambiguous, err error) {
	if len(t.secrets) == 0 {
		made, ambiguous, err := t.run(e, len(t.steps))
		return scheme.Text{Canonical: made}, ambiguous, err
	}
	if t.tail < 0 {
		return t.signedAnywhere(e)
	}
	base, ambiguous, err := t.run(e, t.tail)
	if err != nil {
		return scheme.Text{}, nil, err
	}
	base = slices.Clip(base)
	redacted := func() ([]byte, error) {
		defer e.fillIn(nil, true)()
		tail, err := t.end(e)
		return restorePlaceholders(slices.Concat(base, tail), t.secrets), err
	}
	return scheme.Text{Canonical: base, Redacted: redacted, With: func(secrets scheme.Secrets) (text, tail []byte, err error) {
		defer e.fillIn(secrets, false)()
		tail, err = t.end(e)
		return base, tail, err
	}}, ambiguous, nil
}

// size is about how long a text with the whole payload in it is.
func (e *env) size() int {
	if e.m.Payload == nil {
		return 0
	}
	return e.m.Payload.Size()
}

// tailSpace is the space in bytes that is reserved for what most recipes append:
// "&key=" and a secret.
const tailSpace = 96

// end is what the steps from the tail on append.
func (t *text) end(e *env) ([]byte, error) {
	made := make([]byte, 0, tailSpace)
	var err error
	for _, s := range t.steps[t.tail:] {
		if made, err = s.apply(made, e); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// signedAnywhere is signed for a text with a secret before its end, which is made
// once for each secret.
func (t *text) signedAnywhere(e *env) (text scheme.Text, ambiguous, err error) {
	done := e.fillIn(nil, true)
	made, ambiguous, err := t.run(e, len(t.steps))
	done()
	if err != nil {
		return text, nil, err
	}
	redacted := restorePlaceholders(made, t.secrets)
	canonicalString := redacted
	for _, name := range t.secrets {
		if name == "" {
			canonicalString = bytes.TrimSuffix(canonicalString, []byte("{secret}"))
		}
	}
	return scheme.Text{Canonical: canonicalString, Redacted: func() ([]byte, error) { return redacted, nil }, With: func(secrets scheme.Secrets) (text, tail []byte, err error) {
		defer e.fillIn(secrets, false)()
		text, _, err = t.run(e, len(t.steps))
		return text, nil, err
	}}, ambiguous, nil
}

// digestStep makes the step of a digest: md5 hex, and so on.
func digestStep(name string, encodingName string) (canonical.Change, error) {
	digest, err := algorithm.DigestNamed(name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"hex", "hex-upper", "base64"}, encodingName) {
		return nil, i18n.Errorf("%s needs one of the encodings hex, hex-upper and base64", name)
	}
	enc, err := encoding.Named(encodingName)
	if err != nil {
		return nil, err
	}
	return func(text []byte) ([]byte, error) { return []byte(enc.Encode(digest(text))), nil }, nil
}

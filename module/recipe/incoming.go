package recipe

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// incomingBlock is how an answer or a notification is opened.
type incomingBlock struct {
	line     Line
	kind     message.Kind
	format   message.Format
	zone     *time.Location
	before   []*encryption // decrypted before the signature is verified
	verifies []*signature
	after    []*encryption
	single   []body.Path // lists that hold exactly one element
	times    []body.Path // members with the time of a notification
	sealed   bool        // the payload is encrypted as a whole
}

// incomingBlock compiles the block of answers or of notifications.
func (c *compiler) incomingBlock(l Line, kind message.Kind) error {
	b := &incomingBlock{line: l, kind: kind, zone: china}
	if kind == message.Answer {
		c.p.answer = b
	} else {
		c.p.notification = b
	}
	lines, err := c.kept(l.Block)
	if err != nil {
		return err
	}
	for _, line := range lines { // they count wherever they stand
		switch line.Words[0] {
		case "receive":
			var words []string
			if words, err = c.words(line); err == nil {
				err = readFormat(&b.format, &arguments{line: line, words: words[1:], raw: line.Words[1:]})
			}
		case "unwrap":
			b.format.Wrap, err = c.wrapping(line)
		case "zone":
			b.zone, err = readZone(line)
		case "as":
			if len(line.Words) != 2 || line.Words[1] != "wire" {
				err = line.errorf("as is followed by wire: the application gets what came")
			}
			b.format.AsWire = true
		}
		if err != nil {
			return err
		}
	}
	for _, line := range lines {
		if err := c.incomingLine(b, line); err != nil {
			return err
		}
	}
	if len(b.verifies) == 0 {
		return l.errorf("%s has no verify: anybody could send one; add: verify body.sign <algorithm> <encoding> <text>", kind)
	}
	b.format.Sealed = b.sealed
	return nil
}

func (c *compiler) incomingLine(b *incomingBlock, l Line) error {
	d := &c.p.description
	switch word := l.Words[0]; word {
	case "receive", "unwrap", "zone", "as":
		return nil
	case "warn":
		return c.header(l)
	case "verify":
		return c.verify(b, l)
	case "decrypt", "open":
		return c.decrypt(b, l)
	case "match", "result", "unsigned":
		if b.kind != message.Answer {
			return l.errorf("%s belongs to answers", word)
		}
		return c.answerLine(b, l)
	case "ack", "time", "single", "identity":
		if b.kind != message.Notification {
			return l.errorf("%s belongs to notifications", word)
		}
		return c.notificationLine(b, l, &d.Notify)
	default:
		return l.errorf("unknown word %q in %s; there are receive, unwrap, verify, decrypt, open, zone, warn, and for answers match, result and unsigned, for notifications ack, time, single and identity", word, b.kind)
	}
}

// verify compiles "verify <source> <algorithm> <encoding> <text> { … }".
func (c *compiler) verify(b *incomingBlock, l Line) error {
	if len(b.after) > 0 {
		return l.errorf("verify stands below %s: nothing is decrypted before it has verified; move verify up, or write %s … before verify where the protocol signs the plaintext", b.after[0].line.Words[0], b.after[0].line.Words[0])
	}
	s, rest, err := c.signatureLine(l)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return l.errorf("verify does not take %q; as belongs to sign", rest[0])
	}
	b.verifies = append(b.verifies, s)
	return c.signatureBlock(s)
}

// decrypt compiles "decrypt <cipher> <encoding> <member>|body { … } [before verify]"
// and "open <member>|body... <cipher> <encoding> { … } [before verify]".
func (c *compiler) decrypt(b *incomingBlock, l Line) error {
	before := false
	if n := len(l.Words); n > 3 && l.Words[n-2] == "before" && l.Words[n-1] == "verify" {
		before = true
		l.Words = l.Words[:n-2]
	}
	var e *encryption
	var err error
	if l.Words[0] == "open" {
		e, err = c.sealLine(l)
	} else {
		e, err = c.encryptLine(l)
	}
	if err != nil {
		return err
	}
	e.role = decryptRole(e)
	if err := c.encryptionBlock(e); err != nil {
		return err
	}
	if l.Words[0] == "open" && e.envelope == nil {
		return l.errorf("open needs to know how its key travels; add: wrap rsa-pkcs1 base64 body.encryptKey")
	}
	e.before = before
	e.roles = e.decryptRoles()
	if e.whole {
		b.sealed = true
	}
	if before {
		b.before = append(b.before, e)
	} else {
		b.after = append(b.after, e)
	}
	return nil
}

// covers says what the signatures cover. Where the protocol signs the plaintext,
// it is decrypted first; nothing of it is released before it has verified.
func (b *incomingBlock) covers(e *env, in *scheme.Incoming) ([]scheme.Signature, error) {
	for _, d := range b.before {
		if err := b.decrypt(e, in, d); err != nil {
			return nil, err
		}
	}
	for _, s := range b.verifies { // a message without its signature is unsigned, whatever else it lacks
		values, err := s.place.values(e.m, e.fields())
		if err != nil {
			return nil, invalid(err)
		}
		if len(values) == 0 {
			return nil, scheme.Failf(scheme.Unsigned, "the message has no %s", strings.TrimPrefix(s.place.String(), "body."))
		}
	}
	signatures := make([]scheme.Signature, len(b.verifies))
	for i, s := range b.verifies {
		var err error
		if signatures[i], err = s.incoming(e); err != nil {
			return nil, err
		}
	}
	for _, path := range b.single {
		if e.m.Payload == nil {
			return nil, scheme.Failf(scheme.Invalid, "the notification has no list %s", path)
		}
		if list := e.m.Payload.At(path); list == nil || !list.IsList() || len(list.Members()) != 1 {
			return nil, scheme.Failf(scheme.Invalid, "%s is not a list of exactly one element", path)
		}
	}
	return signatures, nil
}

// reveal decrypts what is encrypted, and makes JSON again of what the request
// made strings of.
func (b *incomingBlock) reveal(e *env, in *scheme.Incoming) error {
	for _, d := range b.after {
		if err := b.decrypt(e, in, d); err != nil {
			return err
		}
	}
	if b.kind == message.Answer && e.m.Payload != nil {
		for _, path := range e.p.held { // JSON that two readers may read in two ways does not reach an application
			m, _ := e.m.Payload.Get(path)
			if m.IsAbsent() || m.Kind() != body.String {
				continue
			}
			if err := body.Valid(m.Text()); err != nil && !errors.Is(err, body.ErrSyntax) {
				return scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", path, err)
			}
		}
	}
	return b.unstring(e, in)
}

// decrypt decrypts members, or the payload as a whole.
func (b *incomingBlock) decrypt(e *env, in *scheme.Incoming, d *encryption) error {
	if d.whole {
		return b.decryptWhole(e, in, d)
	}
	if e.m.Payload == nil || !hasAny(e.m.Payload, d.paths) {
		if d.envelope != nil && in.Request == nil && b.kind == message.Answer {
			if values, err := d.envelope.place.values(e.m, e.fields()); err == nil && len(values) > 0 {
				in.Note("verified, not decryptable: there is an envelope and no encrypted member; " + echoed)
			}
		}
		if d.implied || d.envelope != nil || e.m.Payload == nil && b.kind == message.Answer {
			return nil
		}
		if b.kind == message.Notification {
			return scheme.DecryptionFailed()
		}
		return nil
	}
	all, err := d.decrypters(e, in)
	if err == nil {
		err = b.decryptMembers(e, in, d, all)
	}
	switch {
	case err == nil:
		return nil
	case d.envelope != nil && in.Request == nil && b.kind == message.Answer:
		in.Note("verified, not decryptable: the envelope does not open with these keys and options; " + echoed + d.advice())
		return nil
	case scheme.ReasonOf(err) == scheme.NeedsKeys:
		return err
	}
	return scheme.DecryptionFailed()
}

// echoed is why an envelope may not open where its request is not known.
const echoed = "an echoed envelope opens only with the key of its request"

// advice names the options that say how a provider encrypts.
func (e *encryption) advice() string {
	var advice []string
	for _, l := range e.line.Block {
		if len(l.Words) != 2 {
			continue
		}
		option, ok := optionIn(l.Words[1])
		switch {
		case !ok:
		case l.Words[0] == "prefix":
			advice = append(advice, "set "+option+" to what the provider puts before the symmetric key, such as 01|, or leave it out")
		case l.Words[0] == "padding":
			advice = append(advice, "set "+option+" to how the provider fills up the text")
		}
	}
	if len(advice) == 0 {
		return ""
	}
	slices.Reverse(advice)
	return "; if it is not echoed, " + strings.Join(advice, ", and ")
}

// decryptMembers tries one key after the other, each on all members.
func (b *incomingBlock) decryptMembers(e *env, in *scheme.Incoming, d *encryption, all []decrypter) error {
	for _, key := range all {
		plain, err := d.texts(e.m.Payload, key)
		if err != nil {
			continue
		}
		for _, p := range plain {
			if err := b.place(e, in, d, p); err != nil {
				return err
			}
		}
		if key.fingerprint != "" {
			in.Used(key.fingerprint)
		}
		return nil
	}
	return errOpen
}

// plaintext is a member that was decrypted.
type plaintext struct {
	at   body.Path
	text []byte
}

// texts decrypts the members with one key.
func (e *encryption) texts(tree *body.Tree, key decrypter) ([]plaintext, error) {
	var out []plaintext
	var failed error
	for _, path := range e.paths {
		eachPath(tree, path, func(at body.Path, r body.Ref) {
			m := r.Member()
			if m.IsEmpty() || failed != nil {
				return
			}
			if m.Kind() != body.String {
				failed = errOpen
				return
			}
			ciphertext, err := e.encoding.Decode(m.Text())
			if err != nil {
				failed = errOpen
				return
			}
			text, err := key.decrypt(ciphertext)
			if err != nil || !validUTF8(string(text)) {
				failed = errOpen
				return
			}
			out = append(out, plaintext{at, text})
		})
	}
	return out, failed
}

// place puts a plaintext where it belongs: as JSON or as a string, as the
// application sent the same member. Where it sent none, an object or a list is
// JSON and everything else a string.
func (b *incomingBlock) place(e *env, in *scheme.Incoming, d *encryption, p plaintext) error {
	memory := in.Memory()
	isJSON := body.Valid(p.text) == nil
	asText := contains(memory.Texts, p.at)
	asJSON := contains(memory.JSON, p.at)
	if asJSON && !isJSON {
		return errOpen
	}
	raw := p.text
	if asText || !asJSON && (!isJSON || !isContainer(p.text)) {
		raw = body.AppendQuote(nil, p.text)
	}
	target := p.at
	if d.into != nil {
		if d.into.path == nil {
			o, err := b.format.Parse(p.text)
			if err != nil {
				return errOpen
			}
			e.m.SetPayload(o)
			return nil
		}
		target = d.into.path
	}
	if err := e.m.Payload.Set(target, raw); err != nil {
		return errOpen
	}
	return nil
}

func isContainer(text []byte) bool {
	first := strings.TrimLeft(string(text[:min(len(text), 16)]), " \t\r\n")
	return first != "" && (first[0] == '{' || first[0] == '[')
}

func contains(paths []body.Path, path body.Path) bool {
	return slices.ContainsFunc(paths, func(p body.Path) bool { return slices.Equal(p, path) })
}

// decryptWhole decrypts the payload and reads it.
func (b *incomingBlock) decryptWhole(e *env, in *scheme.Incoming, d *encryption) error {
	source := e.m.Inner
	if source == nil {
		source = e.m.Wire
	}
	ciphertext, err := d.encoding.Decode([]byte(strings.TrimSpace(string(source))))
	if err != nil || len(ciphertext) == 0 {
		return scheme.DecryptionFailed()
	}
	all, err := d.decrypters(e, in)
	if scheme.ReasonOf(err) == scheme.NeedsKeys {
		return err
	}
	for _, key := range all {
		text, err := key.decrypt(ciphertext)
		if err != nil {
			continue
		}
		o, err := b.format.Parse(text)
		if err != nil {
			continue
		}
		e.m.SetPayload(o)
		e.m.Inner = text
		if key.fingerprint != "" {
			in.Used(key.fingerprint)
		}
		return nil
	}
	return scheme.DecryptionFailed()
}

// unstring makes JSON again of members that the application gave as JSON and that
// went out as strings, where the answer has them as strings that hold an object,
// a list or null. An answer may have such a member beside the others that are
// signed.
func (b *incomingBlock) unstring(e *env, in *scheme.Incoming) error {
	if e.m.Payload == nil {
		return nil
	}
	names := make(map[string]map[string]bool) // by the object that may have them
	parents := make(map[string]body.Path)
	may := func(parent body.Path, name string) {
		key := parent.String()
		if names[key] == nil {
			names[key], parents[key] = make(map[string]bool), parent
		}
		names[key][name] = true
	}
	parts := b.parts()
	for _, path := range in.Memory().Strings {
		name := path[len(path)-1]
		may(path[:len(path)-1], name)
		may(nil, name)
		for _, part := range parts {
			may(part, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(parents)) {
		var failed error
		eachPath(e.m.Payload, append(slices.Clone(parents[key]), body.Any), func(at body.Path, r body.Ref) {
			if failed == nil && names[key][at[len(at)-1]] && e.p.description.Answer.Covers(at) {
				failed = unstring(at, r)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// parts are the objects that the signatures cover.
func (b *incomingBlock) parts() []body.Path {
	var paths []body.Path
	for _, s := range b.verifies {
		for _, p := range s.text.covers.parts {
			if p.inside != nil && len(p.path) > 0 {
				paths = append(paths, p.path)
			}
		}
	}
	return paths
}

func unstring(at body.Path, r body.Ref) error {
	m := r.Member()
	if m.Kind() != body.String {
		return nil
	}
	text := m.Text()
	if start := strings.TrimLeft(string(text[:min(len(text), 32)]), " \t\r\n"); start == "" || !strings.ContainsAny(start[:1], "{[n") {
		return nil
	}
	switch err := body.Valid(text); {
	case err == nil:
		r.Set(text)
		return nil
	case !errors.Is(err, body.ErrSyntax):
		return scheme.Failf(scheme.Invalid, "the JSON in the member %s is refused: %w", at, err)
	}
	return nil
}

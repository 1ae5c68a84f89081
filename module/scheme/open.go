package scheme

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// Incoming is an answer or a notification to be opened.
type Incoming struct {
	Message *message.Message
	Keys    *keys.Set
	Now     time.Time

	// Request is the request that an answer is for. It is nil for a notification,
	// and on the command line where only the answer is known.
	Request *Sealed

	// Charset, if set, changes what is signed before it is verified. It serves the
	// diagnosis of providers that sign another charset than they send, and nothing
	// else.
	Charset func([]byte) []byte

	fingerprints []string
	note         string
}

// Used notes a key that was used besides those of signatures.
func (in *Incoming) Used(fingerprint string) { in.fingerprints = append(in.fingerprints, fingerprint) }

// Memory is what the request left behind; the zero Memory where there is none.
func (in *Incoming) Memory() Memory {
	if in.Request == nil {
		return Memory{}
	}
	return in.Request.Memory
}

// Note says what could not be done with a verified message where its request is
// not known.
func (in *Incoming) Note(text string) { in.note = text }

// Verified is an answer or a notification that has verified. Only Open makes one.
type Verified struct {
	message      *message.Message
	texts        []Text
	fingerprints []string
	part         string
	unsigned     bool
	note         string
	covers       func(body.Path) bool
}

// Body is the payload as JSON, decrypted and unwrapped: nil where the message
// has no payload.
func (v *Verified) Body() []byte {
	if v.message.Payload == nil {
		return nil
	}
	return v.message.Payload.Text()
}

// Revealed reports whether something in the payload was decrypted or unwrapped.
func (v *Verified) Revealed() bool {
	return v.message.Payload != nil && (v.message.Payload.Edited() || v.message.Inner != nil && v.message.Form == nil)
}

// Identity is a digest of what makes a notification the same when it is sent again:
// of the members that the rule names, of all signed members but those that it
// leaves out, or of everything that the signatures cover.
// It is injective: each name and each value stands in it behind its length.
func (v *Verified) Identity(rule NotifyRule) [sha256.Size]byte {
	h := sha256.New()
	add := func(text []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write(text)
	}
	add([]byte(v.part))
	named := false
	for _, path := range rule.Identity {
		m, _ := v.Member(path)
		add([]byte(path.String()))
		if !m.IsAbsent() {
			named = true
			add(m.Text())
		}
	}
	if named {
		return [sha256.Size]byte(h.Sum(nil))
	}
	if rule.IdentityExcept == nil {
		for _, t := range v.texts {
			add(t.Canonical)
		}
	}
	v.addSigned(add, rule.IdentityExcept)
	return [sha256.Size]byte(h.Sum(nil))
}

// addSigned adds the names and values of the members that the signatures cover,
// as they are after decryption, sorted, so that their order does not matter.
func (v *Verified) addSigned(add func([]byte), except []string) {
	if v.message.Payload == nil || v.covers == nil {
		return
	}
	var all []string
	var walk func(tree *body.Tree, path body.Path)
	walk = func(tree *body.Tree, path body.Path) {
		for i, m := range tree.Members() {
			name := string(m.Name())
			if tree.IsList() {
				name = strconv.Itoa(i)
			}
			at := append(slices.Clone(path), name)
			switch {
			case m.IsEmpty() || len(at) > 2 || slices.Contains(except, name): // what is empty is in no signature
			case v.covers(at):
				all = append(all, strconv.Itoa(len(name))+":"+at.String()+"="+string(m.Raw()))
			case !m.IsScalar():
				if inner := tree.At(body.Path{name}); inner != nil {
					walk(inner, at)
				}
			}
		}
	}
	walk(v.message.Payload, nil)
	slices.Sort(all)
	for _, text := range all {
		add([]byte(text))
	}
}

// Wire is the body as it came.
func (v *Verified) Wire() []byte { return v.message.Wire }

// Member is the value of the payload at a path.
func (v *Verified) Member(path body.Path) (body.Member, bool) {
	if v.message.Payload == nil {
		return body.Member{}, false
	}
	return v.message.Payload.Get(path)
}

// Message is a copy of the message, as it verified.
func (v *Verified) Message() message.Message { return *v.message }

// Canonical is what the signatures cover, without secrets. Where there are
// several they stand one after another, each behind its length.
func (v *Verified) Canonical() []byte {
	if len(v.texts) == 1 {
		return v.texts[0].Canonical
	}
	var all []byte
	for _, t := range v.texts {
		all = append(all, t.Canonical...)
		all = append(all, '\n')
	}
	return all
}

// Hole is the text that was digested, with {secret} where a secret stands.
func (v *Verified) Hole() []byte {
	if len(v.texts) == 0 {
		return nil
	}
	return v.texts[len(v.texts)-1].hole()
}

// Fingerprints are those of the keys that were used, the signature's first.
func (v *Verified) Fingerprints() []string { return v.fingerprints }

// Part names what the signatures cover: "*", or names of members.
func (v *Verified) Part() string { return v.part }

// IsUnsigned says that the provider's own rule lets this answer be without a
// signature. Nothing in it was verified, decrypted or unwrapped.
func (v *Verified) IsUnsigned() bool { return v.unsigned }

// Note says what could not be done with the message where its request is not
// known; or it is "".
func (v *Verified) Note() string { return v.note }

// Open verifies a message, and then decrypts and unwraps it. Its errors are
// *Error.
func Open(s Scheme, in Incoming) (*Verified, error) {
	d := s.Describe()
	direction, err := d.direction(in.Message.Kind)
	if err != nil {
		return nil, err
	}
	in.Message = in.Message.Fresh()
	if in.Message.Kind == message.Answer && d.Unsigned != nil && d.Unsigned.exempts(in.Message) {
		if err := checkTwins(in.Message, append(d.Unsigned.Signed, d.Unsigned.Member)); err != nil {
			return nil, err
		}
		return &Verified{message: in.Message, unsigned: true}, nil
	}
	if err := checkTwins(in.Message, direction.Reads); err != nil {
		return nil, err
	}
	signatures, err := s.Covers(&in)
	if err != nil {
		return nil, err
	}
	if len(signatures) == 0 {
		return nil, Failf(Unsigned, "the scheme names no signature of the message")
	}
	v := &Verified{message: in.Message, part: direction.Part, covers: direction.Signed}
	var used, parts []string
	for _, signature := range signatures {
		fingerprint, err := in.verify(signature)
		if err != nil {
			return nil, err
		}
		used = append(used, fingerprint)
		if signature.Part != "" && !slices.Contains(parts, signature.Part) {
			parts = append(parts, signature.Part)
		}
		v.texts = append(v.texts, signature.Text)
	}
	if len(parts) > 0 {
		v.part = strings.Join(parts, ",")
	}
	for _, signature := range signatures {
		if signature.Ambiguous != nil {
			return nil, Failf(Ambiguous, "the message can be read in two ways: %w", signature.Ambiguous)
		}
		if err := in.checkReflection(signature); err != nil {
			return nil, err
		}
	}
	if in.Request != nil {
		if err := checkMatch(d.Match, d.Inside, in.Request, in.Message); err != nil {
			return nil, err
		}
	}
	if err := s.Reveal(&in); err != nil {
		return nil, err
	}
	v.message, v.note = in.Message, in.note
	v.fingerprints = append(used, in.fingerprints...)
	return v, nil
}

// direction is what the description says of a kind of messages.
func (d *Description) direction(kind message.Kind) (*Direction, error) {
	direction := map[message.Kind]*Direction{message.Request: d.Request, message.Answer: d.Answer, message.Notification: d.Notification}[kind]
	if direction == nil && kind == message.Answer {
		return nil, Failf(Unsigned, "%s has no rule for answers, which the provider does not sign", d.Name)
	}
	if direction == nil {
		return nil, Failf(Invalid, "%s has no rule for a message that is a %s", d.Name, kind)
	}
	return direction, nil
}

// verify verifies one signature and returns the fingerprint of the key that made
// it.
func (in *Incoming) verify(s Signature) (fingerprint string, err error) {
	values := make([]string, 0, len(s.Values))
	for _, value := range s.Values {
		if value != "" {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return "", Failf(Unsigned, "the message has no %s", strings.TrimPrefix(s.Where, "body."))
	}
	candidates, err := in.candidates(s)
	if err != nil {
		return "", err
	}
	for _, value := range values {
		raw, err := s.Encoding.Decode([]byte(value))
		if err != nil || len(raw) == 0 {
			continue
		}
		for _, c := range candidates {
			ok, err := c.verify(in, s, raw)
			if err != nil {
				return "", err
			}
			if ok {
				return c.fingerprint, in.checkFresh(s.Fresh)
			}
		}
	}
	return "", signatureInvalid(s.Part)
}

// candidate is a key that may have made a signature.
type candidate struct {
	public      any
	secret      *keys.Secret
	fingerprint string
}

func (c candidate) verify(in *Incoming, s Signature, raw []byte) (bool, error) {
	text, err := s.Text.with(c.secret)
	if err != nil {
		return false, err
	}
	if in.Charset != nil {
		text = in.Charset(text)
	}
	if s.Algorithm.Kind() == algorithm.Public {
		return s.Algorithm.Verify(c.public, text, raw, s.Options), nil
	}
	var secret []byte
	if c.secret != nil {
		if secret, err = s.key(c.secret); err != nil {
			return false, err
		}
	}
	return s.Algorithm.VerifySum(secret, text, raw), nil
}

// candidates are the keys that may have made a signature.
func (in *Incoming) candidates(s Signature) ([]candidate, error) {
	if s.Algorithm.Kind() != algorithm.Public {
		return in.secrets(s)
	}
	if s.Certificate != nil {
		key, fingerprint, err := s.Certificate.verify(in.Keys, in.Now)
		if err != nil {
			return nil, err
		}
		return []candidate{{public: key, fingerprint: fingerprint}}, nil
	}
	if s.Role != "" && s.Role != keys.Verify {
		return nil, Failf(Invalid, "a message is verified with keys of the role verify, not of %s", s.Role)
	}
	var found []candidate
	for _, key := range in.Keys.VerifyKeys(s.Key) {
		found = append(found, candidate{public: key.Key, fingerprint: key.Fingerprint})
	}
	switch {
	case len(found) > 0:
		return found, nil
	case s.Key == "":
		return nil, Failf(NeedsKeys, "%w", in.Keys.Need(keys.Verify))
	default:
		return nil, Failf(NeedsKeys, "the key set has no verify key with the serial %s; add it as verify@%s", printable(s.Key), printable(s.Key))
	}
}

// secrets are the shared secrets that may have made a signature: those that are
// accepted besides the secret while it is rotated are among them.
func (in *Incoming) secrets(s Signature) ([]candidate, error) {
	var found []candidate
	for _, secret := range in.Keys.Secrets(s.Key) {
		found = append(found, candidate{secret: secret, fingerprint: secret.Fingerprint})
	}
	if len(found) == 0 && s.Key == "" && s.Algorithm.Kind() == algorithm.Digest && s.Text.With != nil {
		if secret := anySecret(in.Keys); secret != nil { // only named secrets stand in the text
			return []candidate{{fingerprint: secret.Fingerprint}}, nil
		}
	}
	if len(found) == 0 {
		return nil, Failf(NeedsKeys, "%w", in.Keys.Need(secretRole(s.Key)))
	}
	return found, nil
}

func (in *Incoming) checkFresh(f *Freshness) error {
	if f == nil {
		return nil
	}
	if !f.Known {
		return Failf(Stale, "the message has no time stamp that can be read, so that its age is not known")
	}
	switch age := in.Now.Sub(f.Time); {
	case age > f.Window:
		return Failf(Stale, "the message's time stamp is older than %s", f.Window)
	case age < -f.Window:
		return Failf(Stale, "the message's time stamp is more than %s in the future; compare the clocks", f.Window)
	}
	return nil
}

// checkReflection refuses an answer that verifies because it is the request. With
// a shared secret both sides sign alike, and somebody between them could send a
// request back as its own answer. That shows in equal canonical strings, also
// where one of two secrets was replaced meanwhile.
func (in *Incoming) checkReflection(s Signature) error {
	if in.Request == nil || s.Algorithm.Kind() == algorithm.Public {
		return nil
	}
	digest := sha256.Sum256(s.Text.Canonical)
	for _, made := range in.Request.made {
		if made.symmetric && made.digest == digest {
			return Failf(BadSignature, "the signature is the one of the request itself, sent back")
		}
	}
	return nil
}

// checkTwins refuses a message that has one of the members a second time in other
// letters, such as BizData beside bizData: readers that ignore case, as those of
// Go and .NET do, take whichever comes last.
func checkTwins(m *message.Message, reads []body.Path) error {
	if m.Payload == nil {
		return nil
	}
	for _, path := range reads {
		tree := m.Payload
		for i, name := range path {
			if tree == nil || tree.IsList() || name == body.Any {
				break
			}
			for _, member := range tree.Members() {
				if other := string(member.Name()); other != name && strings.EqualFold(other, name) {
					return Failf(Ambiguous, "the message can be read in two ways: there is another member %s in other letters", path[:i+1])
				}
			}
			tree = tree.At(path[i : i+1])
		}
	}
	return nil
}

// notZero is a number that is an error code. "0", 0.0 and -0 are not: no provider
// writes them for a failure, and an application may take them for success.
var notZero = regexp.MustCompile(`^-?[1-9][0-9]*$`)

// exempts reports whether a message is one that the provider does not sign.
func (r *UnsignedRule) exempts(m *message.Message) bool {
	if m.Payload == nil {
		return false
	}
	for _, path := range r.Signed {
		if member, ok := m.Payload.Get(path); ok && !member.IsNull() {
			return false
		}
	}
	code, ok := m.Payload.Get(r.Member)
	return ok && code.Kind() == body.Number && string(code.Raw()) != r.Token && notZero.Match(code.Raw())
}

// printable is a text for an error: cut, and without control characters.
func printable(text string) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, []byte(text[:min(len(text), 64)])))
}

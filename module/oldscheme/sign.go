package scheme

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/canonical"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/signature"
)

// Covered is what a signature covers of a message. A scheme makes it in the
// same way of a message that it seals, of one that it opens, and for the
// diagnosis.
type Covered struct {
	Part      string // as in Opened.Signed
	Text      []byte // the canonical string
	Ambiguous error  // why the text can be read in two ways, or nil

	// Own says that nothing else is in the memory of Text, such as a member of the
	// message. It is used again then, for another canonical string.
	Own bool
}

// Roles are the roles that an exchange needs whose request and answer are signed
// in the same way.
func Roles(algorithm signature.Algorithm) []keys.Role {
	if algorithm.SignRole() == algorithm.VerifyRole() {
		return withSecret
	}
	return withKeys
}

var (
	withSecret = slices.Clip([]keys.Role{keys.SharedSecret})
	withKeys   = slices.Clip([]keys.Role{keys.Sign, keys.Verify})
)

// Sign signs what is covered of a draft of the request, and sets the draft's
// member called name to the signature. Drafts of objects in the request
// come behind. The drafts end with it.
func (r Request) Sign(algorithm signature.Algorithm, c Covered, name string, draft *body.Draft, inner ...*body.Draft) (*Sealed, error) {
	if err := r.Keys.Need(algorithm.SignRole()); err != nil {
		return nil, Failf(NeedsKeys, "%w", err)
	}
	sig, fingerprint, err := algorithm.Sign(r.Keys, c.Text)
	if err != nil {
		return nil, SigningFailed(err)
	}
	draft.SetString(name, sig)
	sealed := &Sealed{
		Body: draft.Apply(inner...), Canonical: c.Text, Signature: sig, Keys: r.Keys, Fingerprints: []string{fingerprint}, own: c.Own,
	}
	for _, d := range inner {
		d.Release()
	}
	draft.Release()
	return sealed, nil
}

// Verify verifies the signature over what it covers of an answer, and that this
// can be read in one way only.
func (a Answer) Verify(algorithm signature.Algorithm, c Covered, sig string) (*Opened, error) {
	opened, err := c.verify(algorithm, a.Keys, a.Charset, sig)
	if err != nil {
		return nil, err
	}
	if a.Sealed != nil && algorithm.SignRole() == algorithm.VerifyRole() {
		if err := a.checkReflection(algorithm, c, sig, opened.Fingerprints[0]); err != nil {
			return nil, err
		}
	}
	if err := CheckTwins(a.Body, c.Part); err != nil {
		return nil, err
	}
	opened.Body = a.Body.Source()
	return opened, nil
}

// checkReflection refuses an answer that verifies because it is the request. With
// a shared secret both sides sign alike, and a stranger between them could send a
// request back as its own answer. That the two canonical strings are equal shows
// in equal signatures, in either case of their hexadecimal digits. Where another
// secret verified than the one that signed the request, which is being rotated,
// it shows once the answer's string is signed as the request's was.
func (a Answer) checkReflection(algorithm signature.Algorithm, c Covered, sig, fingerprint string) error {
	if a.Sealed.Signature == "" || a.Sealed.Keys == nil || len(a.Sealed.Fingerprints) == 0 {
		return Failf(Signature, "the scheme does not tell how it signed the request, and so whether the answer is the request itself, sent back")
	}
	if fingerprint != a.Sealed.Fingerprints[0] {
		var err error
		if sig, _, err = algorithm.Sign(a.Sealed.Keys, c.Text); err != nil {
			return SigningFailed(err)
		}
	}
	if strings.EqualFold(a.Sealed.Signature, sig) {
		return Failf(Signature, "the signature is the one of the request itself, sent back")
	}
	return nil
}

// CheckTwins refuses a message that has its signed part a second time in other
// letters, such as BizData beside bizData. That one is not signed, and readers
// that ignore case, as those of Go and .NET do, take whichever comes last. It is
// for messages of which not all is signed; Verify looks at the signed part.
func CheckTwins(message *body.Object, part string) error {
	for _, m := range message.Members() {
		if name := string(m.Name()); name != part && strings.EqualFold(name, part) {
			return Failf(Ambiguous, "the message can be read in two ways: there is another member %s in other letters, which is not signed", part)
		}
	}
	return nil
}

// Verify is Answer's Verify for a notification.
func (n Notification) Verify(algorithm signature.Algorithm, c Covered, sig string) (*Opened, error) {
	opened, err := c.verify(algorithm, n.Keys, n.Charset, sig)
	if err != nil || n.Body == nil {
		return opened, err
	}
	if err := CheckTwins(n.Body, c.Part); err != nil {
		return nil, err
	}
	opened.Body = n.Body.Source()
	return opened, nil
}

func (c Covered) verify(algorithm signature.Algorithm, set *keys.Set, charset func([]byte) []byte, sig string) (*Opened, error) {
	if role := algorithm.VerifyRole(); !set.Has(role) && (role != keys.SharedSecret || !set.Has(keys.VerifySecret)) {
		return nil, Failf(NeedsKeys, "%w", set.Need(role))
	}
	signed := c.Text
	if charset != nil {
		signed = charset(signed)
	}
	fingerprint, err := algorithm.Verify(set, signed, sig)
	if err != nil {
		return nil, SignatureInvalid(c.Part)
	}
	if c.Ambiguous != nil {
		return nil, Failf(Ambiguous, "the message can be read in two ways: %w", c.Ambiguous)
	}
	return &Opened{Canonical: c.Text, Fingerprints: []string{fingerprint}, Signed: c.Part, own: c.Own}, nil
}

// SignatureOf is the signature in the member called name. It fails with the
// reason Unsigned where there is none, and Invalid where it is no string.
func SignatureOf(message *body.Object, name string) (string, error) {
	m, ok := message.Get(name)
	switch {
	case !ok || m.IsEmpty():
		return "", Failf(Unsigned, "the message has no %s", name)
	case m.Kind() != body.String:
		return "", Failf(Invalid, "the member %s is not a string", name)
	}
	return string(m.Text()), nil
}

// SignatureOfForm is SignatureOf for the parameters of a form. It fails with the
// reason Invalid where a name occurs twice: two readers may take two values.
func SignatureOfForm(form []Param, name string) (sig string, err error) {
	seen := make(map[string]bool, len(form))
	for _, p := range form {
		if seen[p.Name] {
			return "", Failf(Invalid, "a parameter occurs twice")
		}
		seen[p.Name] = true
		if p.Name == name {
			sig = p.Value
		}
	}
	if sig == "" {
		return "", Failf(Unsigned, "the notification has no %s", name)
	}
	return sig, nil
}

// FormPairs are the parameters of a form that are neither empty nor called
// without, which is where the signature travels.
func FormPairs(form []Param, without string) []canonical.Pair {
	pairs := make([]canonical.Pair, 0, len(form))
	for _, p := range form {
		if p.Name != without && p.Value != "" {
			pairs = append(pairs, canonical.Pair{Name: []byte(p.Name), Value: []byte(p.Value)})
		}
	}
	return pairs
}

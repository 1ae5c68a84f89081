package scheme

import (
	"bytes"
	"crypto/sha256"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

// checkReflection refuses an answer that verifies because it is the request. With
// a shared secret both sides sign alike, and somebody between them could send a
// request back as its own answer. That shows in equal signatures, however the two
// texts are put together, and in equal canonical strings where one of two secrets
// was replaced meanwhile. Sum is the signature that has verified.
func (in *Incoming) checkReflection(s Signature, sum []byte) error {
	if in.Request == nil || s.Algorithm.Kind() == algorithm.Public {
		return nil
	}
	digest := sha256.Sum256(s.Text.Canonical)
	for _, made := range in.Request.made {
		if made.symmetric() && (made.digest == digest || bytes.Equal(made.sum, sum)) {
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
			if tree == nil || name == body.Any {
				break
			}
			if tree.IsList() { // the number of an element has no twin
				tree = tree.At(path[i : i+1])
				continue
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

// exempt reports whether the message is an answer that the provider does not sign.
// It fails where such an answer could be read in two ways.
func (o *opening) exempt() (bool, error) {
	m, rule := o.in.Message, o.d.Unsigned
	if m.Kind != message.Answer || rule == nil || !rule.exempts(m) {
		return false, nil
	}
	return true, checkTwins(m, append(slices.Clone(rule.Signed), rule.Member))
}

// exempts reports whether a message is one that the provider does not sign: it has
// the code of a failure, no signature, and nothing that a signature would cover.
func (r *UnsignedRule) exempts(m *message.Message) bool {
	if m.Payload == nil || r.Bears != nil && r.Bears(m) {
		return false
	}
	if r.Text { // alone, what holds the member stands beside no signature and nothing that is signed
		code, ok := m.Payload.Get(r.Member)
		return ok && len(m.Payload.Members()) == 1 && code.Kind() == body.String && string(code.Text()) != r.Token && notZero.Match(code.Text())
	}
	for _, path := range r.Signed {
		if slices.Equal(path, r.Member) {
			continue // a signed answer has it signed, and one that is not has it as well
		}
		if present(m.Payload, path) {
			return false
		}
	}
	code, ok := m.Payload.Get(r.Member)
	return ok && code.Kind() == body.Number && string(code.Raw()) != r.Token && notZero.Match(code.Raw())
}

// present reports whether a tree has a value that is not null at a path, whose
// last name may hold a *, in whatever letters.
func present(tree *body.Tree, path body.Path) bool {
	last := strings.ToLower(path[len(path)-1])
	if outer := tree.At(path[:len(path)-1]); outer != nil && strings.Contains(last, "*") {
		head, tail, _ := strings.Cut(last, "*")
		return slices.ContainsFunc(outer.Members(), func(m body.Member) bool {
			name := strings.ToLower(string(m.Name()))
			return !m.IsNull() && len(name) >= len(head)+len(tail) && strings.HasPrefix(name, head) && strings.HasSuffix(name, tail)
		})
	}
	m, ok := tree.Get(path)
	return ok && !m.IsNull()
}

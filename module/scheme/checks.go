package scheme

import (
	"crypto/sha256"
	"regexp"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

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

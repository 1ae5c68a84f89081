package scheme

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

// checkReflection refuses an answer that is the request sent back. With a shared
// secret both sides make the same signature, so that an attacker between them could
// return a request as its own answer. The signatures are compared, because the
// canonical strings of request and answer may be built differently; the canonical
// strings are compared, because the secret may have been rotated in between. sum is
// the verified signature of the answer.
func (in *Incoming) checkReflection(s Signature, sum []byte) error {
	if in.Request == nil || s.Algorithm.Kind() == algorithm.Public {
		return nil
	}
	for _, made := range in.Request.made {
		if made.symmetric() && (bytes.Equal(made.signature.Text.Canonical, s.Text.Canonical) || bytes.Equal(made.sum, sum)) {
			return Failf(BadSignature, "the signature is the one of the request itself, sent back")
		}
	}
	return nil
}

// checkCaseVariants refuses a message in which one of the members occurs a second time
// with a name that differs only in case, such as BizData beside bizData: parsers that
// ignore case, as those of Go and .NET do, use the last one.
func checkCaseVariants(m *message.Message, reads []body.Path) error {
	if m.Payload == nil {
		return nil
	}
	for _, path := range reads {
		tree := m.Payload
		for i, name := range path {
			if tree == nil || name == body.Any {
				break
			}
			if tree.IsList() { // an index has no case
				tree = tree.At(path[i : i+1])
				continue
			}
			want := []byte(name)
			for _, member := range tree.Members() {
				if other := member.Name(); bytes.EqualFold(other, want) && !bytes.Equal(other, want) {
					return Failf(Ambiguous, "the message can be read in two ways: there is another member %s in other letters", path[:i+1])
				}
			}
			tree = tree.At(path[i : i+1])
		}
	}
	return nil
}

// notZero matches a number that is an error code. It does not match 0, 0.0 and -0: no
// provider writes them for a failure, and an application may take them for success.
var notZero = regexp.MustCompile(`^-?[1-9][0-9]*$`)

// exempt reports whether the message is an answer that the provider does not sign.
// It fails where such an answer could be read in two ways.
func (o *opening) exempt() (bool, error) {
	m, rule := o.in.Message, o.d.Unsigned
	if m.Kind != message.Answer || rule == nil || !rule.exempts(m) {
		return false, nil
	}
	return true, checkCaseVariants(m, append(slices.Clone(rule.Signed), rule.Member))
}

// exempts reports whether the rule lets a message pass without a signature: it has the
// code of a failure, no signature, and no member that a signature would cover.
func (r *UnsignedRule) exempts(m *message.Message) bool {
	if m.Payload == nil || r.Bears != nil && r.Bears(m) {
		return false
	}
	if r.Text { // the only member: then there is no signature and no signed member
		code, ok := m.Payload.Get(r.Member)
		return ok && len(m.Payload.Members()) == 1 && code.Kind() == body.String && string(code.Text()) != r.Token && notZero.Match(code.Text())
	}
	for _, path := range r.Signed {
		if slices.Equal(path, r.Member) {
			continue // unsigned answers have the code too
		}
		if present(m.Payload, path) {
			return false
		}
	}
	code, ok := m.Payload.Get(r.Member)
	return ok && code.Kind() == body.Number && string(code.Raw()) != r.Token && notZero.Match(code.Raw())
}

// present reports whether a tree has a value other than null at a path. The last name
// of the path may hold a "*" and is compared without regard to case.
func present(tree *body.Tree, path body.Path) bool {
	head, tail, star := body.CutStar(path[len(path)-1])
	head, tail = strings.ToLower(head), strings.ToLower(tail)
	if outer := tree.At(path[:len(path)-1]); outer != nil && star {
		return slices.ContainsFunc(outer.Members(), func(m body.Member) bool {
			name := strings.ToLower(string(m.Name()))
			return !m.IsNull() && len(name) >= len(head)+len(tail) && strings.HasPrefix(name, head) && strings.HasSuffix(name, tail)
		})
	}
	m, ok := tree.Get(path)
	return ok && !m.IsNull()
}

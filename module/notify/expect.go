package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Expectation is a value that a signed member must have.
type Expectation struct {
	// The member, such as mchNo, or bizData.oriOrgTrace for one in an object.
	// It must be covered by the signature.
	Member string `json:"member"`

	// Its value. A trailing * stands for any rest; alone it is
	// refused, because it takes every value. Placeholders such as
	// {env.X} are filled in when the configuration is loaded.
	Value string `json:"value"`
}

// check refuses a member that anybody could edit.
func (e Expectation) check(s scheme.Scheme, rule scheme.NotificationRule) error {
	switch {
	case e.Member == "" || e.Value == "":
		return errors.New("expect needs a member and a value")
	case e.Value == "*":
		return fmt.Errorf("expect %s * takes every value, and so protects from nothing; give the value, or its beginning and a *", e.Member)
	case strings.TrimSpace(e.Member) != e.Member, !rule.Form && slices.Contains(strings.Split(e.Member, "."), ""):
		return fmt.Errorf("expect cannot name %q, which no notification has; write a member as in mchNo or bizData.oriOrgTrace", e.Member)
	case !isSigned(rule, e.Member):
		return fmt.Errorf("expect cannot name %s: %s does not sign it in a notification, so anybody could edit it", e.Member, scheme.Name(s))
	}
	return nil
}

// isSigned reports whether a member is signed, or something that it is in.
func isSigned(rule scheme.NotificationRule, path string) bool {
	for i, c := range path {
		if c == '.' && rule.Signed(path[:i]) {
			return true
		}
	}
	return rule.Signed(path)
}

func (e Expectation) holds(value string) bool {
	if prefix, ok := strings.CutSuffix(e.Value, "*"); ok {
		return strings.HasPrefix(value, prefix)
	}
	return value == e.Value
}

// checkExpected refuses a genuine notification that is somebody else's. Every
// member that is named must have one of the values that it is named with.
func (h *Handler) checkExpected(m *message) *problem.Problem {
	for _, member := range h.expected {
		value, ok := m.signedText(member.name)
		if !ok || !member.holds(value) {
			return problem.New(problem.NotificationNotOurs, "the notification is genuine, but its "+member.name+" is not what is expected", nil)
		}
	}
	return nil
}

// expectedMember has all expectations of one member.
type expectedMember struct {
	name string
	any  []Expectation
}

func (m expectedMember) holds(value string) bool {
	for _, e := range m.any {
		if e.holds(value) {
			return true
		}
	}
	return false
}

func groupExpected(all []Expectation) []expectedMember {
	var out []expectedMember
next:
	for _, e := range all {
		for i := range out {
			if out[i].name == e.Member {
				out[i].any = append(out[i].any, e)
				continue next
			}
		}
		out = append(out, expectedMember{e.Member, []Expectation{e}})
	}
	return out
}

// signedText finds the text of a scalar that is not empty: what is empty is not
// signed. A dot leads into an object, or into the JSON that a string holds; it
// is never a part of a name, because a member whose name looks like a path could
// stand outside of what is signed. Parameters have no paths.
func (m *message) signedText(path string) (string, bool) {
	if m.Body == nil {
		value, _ := m.param(path)
		return value, value != ""
	}
	object := m.Body
	for {
		name, rest, nested := strings.Cut(path, ".")
		if !nested {
			return object.Text(name)
		}
		member, ok := object.Get(name)
		if !ok {
			return "", false
		}
		switch member.Kind() {
		case body.Obj:
			object, ok = member.Object()
		case body.String:
			inner, err := member.Inner()
			object, ok = inner, err == nil
		default:
			return "", false
		}
		if !ok {
			return "", false
		}
		path = rest
	}
}

package notify

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Expectation is a value that a signed member must have.
type Expectation struct {
	// The path of the member, such as mchNo, or bizData.oriOrgTrace for a member of an
	// object. The signature must cover it. Required.
	Member string `json:"member"`

	// The value of the member. A trailing * matches any rest; * alone is refused,
	// because it matches every value. Placeholders such as {env.X} are replaced when
	// the configuration is loaded. Required.
	Value string `json:"value"`
}

// check refuses a member that no signature covers.
func (e Expectation) check(rules *scheme.Description) error {
	switch {
	case e.Member == "" || e.Value == "":
		return i18n.Errorf("expect needs a member and a value")
	case e.Value == "*":
		return i18n.Errorf("expect %s * takes every value, and so protects from nothing; give the value, or its beginning and a *", e.Member)
	case strings.TrimSpace(e.Member) != e.Member, slices.Contains(strings.Split(e.Member, "."), ""), strings.Contains(e.Member, "*"):
		return i18n.Errorf("expect cannot name %q, which no notification has; write a member as in mchNo or bizData.oriOrgTrace", e.Member)
	case !rules.Notification.Covers(e.path()):
		return i18n.Errorf("expect cannot name %s: %s does not sign it in a notification, so anybody could edit it", e.Member, rules.Name)
	}
	return nil
}

// path is where the member stands in the payload. In JSON a dot leads into an
// object; a member whose name looks like a path could stand outside of what is
// signed, and is not found.
func (e Expectation) path() body.Path {
	path, err := body.ParsePath(e.Member)
	if err != nil {
		return nil
	}
	return path
}

func (e Expectation) holds(value string) bool {
	if prefix, ok := strings.CutSuffix(e.Value, "*"); ok {
		return strings.HasPrefix(value, prefix)
	}
	return value == e.Value
}

// checkExpected refuses a genuine notification for somebody else. Every member that
// Expect names must have one of its values.
func (h *Handler) checkExpected(v *scheme.Verified) *problem.Problem {
	for _, member := range h.expected {
		value, ok := signedText(v, member.any[0].path())
		if !ok || !member.holds(value) {
			return problem.New(problem.NotificationNotOurs, i18n.T("the notification is genuine, but its %s is not what is expected", member.name), nil)
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
// signed. The path may lead through a string that holds JSON.
func signedText(v *scheme.Verified, path body.Path) (string, bool) {
	for i := range path {
		m, ok := v.Member(path[:i+1])
		if !ok {
			return "", false
		}
		if i == len(path)-1 {
			return string(m.Text()), m.IsScalar() && !m.IsEmpty()
		}
		if m.Kind() == body.String {
			inner, err := m.Inner()
			if err != nil {
				return "", false
			}
			found, ok := body.NewTree(inner).Get(path[i+1:])
			if !ok || !found.IsScalar() || found.IsEmpty() {
				return "", false
			}
			return string(found.Text()), true
		}
	}
	return "", false
}

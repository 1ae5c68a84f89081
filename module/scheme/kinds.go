package scheme

import (
	"maps"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// CheckKinds returns an error if a role of the set holds keys, but none of the kind that
// the scheme needs. The error names both kinds. Without roles it checks every role. A
// role that the set does not have is not an error here.
func (d *Description) CheckKinds(set *keys.Set, roles ...keys.Role) error {
	for _, role := range slices.Sorted(maps.Keys(d.Kinds)) {
		if len(roles) > 0 && !slices.Contains(roles, role) {
			continue
		}
		held := set.Kinds(role)
		if len(held) > 0 && !slices.Contains(held, d.Kinds[role]) {
			return i18n.Errorf("the role %s holds a key of the kind %s, and %s needs one of the kind %s", role, strings.Join(held, ", "), d.Name, d.Kinds[role])
		}
	}
	return nil
}

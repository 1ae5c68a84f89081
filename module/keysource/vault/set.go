package vault

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// stamp identifies a state of a set: the version of the secret, and the state of each
// Transit key that it names.
type stamp struct {
	version version
	blind   bool // the policy does not show versions: the secret itself is read each time
	transit map[string]string
}

// transitPrefix begins the value of a field that names a Transit key.
const transitPrefix = "transit:"

// assemble makes a set of the fields of a secret.
func (s *Source) assemble(ctx context.Context, reference string, previous *keys.Set, fields map[string]any, seen stamp) (*keys.Set, error) {
	path := s.path("data", reference)
	material := make(keys.Material)
	state := fmt.Sprintf("version %d", seen.version.number)
	asked := make(map[string]*transitKey)
	seen.transit = make(map[string]string)
	var needs []need
	for _, role := range roles(fields) {
		text, ok := fields[string(role)].(string)
		if !ok {
			return nil, &keys.BrokenError{Err: i18n.Errorf("the field %s of vault's %s is not a string", role, path)}
		}
		value := keys.Value{Text: []byte(text), Origin: fmt.Sprintf("vault %s version %d field %s", path, seen.version.number, role)}
		if where, ok := strings.CutPrefix(strings.TrimSpace(text), transitPrefix); ok {
			key := asked[where]
			if key == nil {
				var err error
				if key, err = s.transitKey(ctx, where); err != nil {
					return nil, i18n.Errorf("the field %s of vault's %s: %w", role, path, err)
				}
				asked[where], seen.transit[where] = key, key.state()
				state += fmt.Sprintf(", transit:%s version %d", where, key.latest)
			}
			private, lacks, err := s.privateKeys(ctx, key, role)
			if err != nil {
				return nil, i18n.Errorf("the field %s of vault's %s: %w", role, path, err)
			}
			value.Private = private
			needs = append(needs, lacks)
		}
		material[role] = value
	}
	if len(material) == 0 {
		return nil, i18n.Errorf("%w: vault's %s has none of the fields sign, verify, encrypt, decrypt, secret and verify_secret", keys.ErrUnknown, path)
	}
	set, err := keys.Parse(reference, state, material)
	material.Wipe()
	if err == nil {
		err = set.Lost(previous)
	}
	if err != nil {
		return nil, err
	}
	set.Stamp = seen
	s.report(ctx, reference, needs)
	return set, nil
}

// roles returns the roles that the fields of a secret name, in the order in which
// they are shown.
func roles(fields map[string]any) []keys.Role {
	var out []keys.Role
	for name := range fields {
		if role, ok := keys.ParseRole(name); ok {
			out = append(out, role)
		}
	}
	place := func(role keys.Role) int {
		plain, _ := role.Split()
		return slices.Index(keys.Roles, plain)
	}
	slices.SortFunc(out, func(a, b keys.Role) int { return cmp.Or(place(a)-place(b), cmp.Compare(a, b)) })
	return out
}

// sameTransit reports whether the Transit keys of a set still have the
// versions that they had.
func (s *Source) sameTransit(ctx context.Context, before stamp) (bool, error) {
	now := make(map[string]string, len(before.transit))
	for where := range before.transit {
		key, err := s.transitKey(ctx, where)
		if err != nil {
			return false, err
		}
		now[where] = key.state()
	}
	return maps.Equal(before.transit, now), nil
}

package vault

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/keys"
)

// stamp tells one state of a set from another: the version of the secret, and
// of each Transit key that it names.
type stamp struct {
	version int
	transit map[string]string
}

// transitPrefix begins the value of a field that names a Transit key.
const transitPrefix = "transit:"

// Load reads the secret of a reference, or returns previous if neither it nor
// a Transit key that it names has another version.
func (s *Source) Load(ctx context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	version, err := s.version(ctx, reference)
	if err != nil {
		return nil, err
	}
	if previous != nil && version != 0 {
		before, ok := previous.Stamp.(stamp)
		if ok && before.version == version {
			if same, err := s.sameTransit(ctx, before); err != nil {
				return nil, err
			} else if same {
				return previous, nil
			}
		}
	}
	fields, version, err := s.fields(ctx, reference, version)
	if err != nil {
		return nil, err
	}
	return s.assemble(ctx, reference, version, fields)
}

// version is the current version of a secret, or 0 if the policy does not let
// the metadata be read: then the secret itself is read each time.
func (s *Source) version(ctx context.Context, reference string) (int, error) {
	secret, err := s.client.read(ctx, s.path("metadata", reference))
	switch {
	case isStatus(err, http.StatusForbidden):
		return 0, nil
	case isStatus(err, http.StatusNotFound):
		return 0, s.unknown(reference)
	case err != nil:
		return 0, err
	}
	version := whole(secret.Data["current_version"])
	versions, _ := secret.Data["versions"].(map[string]any)
	of, _ := versions[strconv.Itoa(version)].(map[string]any)
	if destroyed, _ := of["destroyed"].(bool); destroyed {
		return 0, s.unknown(reference)
	}
	if deleted, _ := of["deletion_time"].(string); deleted != "" {
		return 0, s.unknown(reference)
	}
	return version, nil
}

// fields reads one version of a secret, or the current one for version 0.
func (s *Source) fields(ctx context.Context, reference string, version int) (map[string]any, int, error) {
	path := s.path("data", reference)
	if version != 0 {
		path += "?version=" + strconv.Itoa(version)
	}
	secret, err := s.client.read(ctx, path)
	switch {
	case isStatus(err, http.StatusNotFound):
		return nil, 0, s.unknown(reference)
	case err != nil:
		return nil, 0, err
	}
	fields, ok := secret.Data["data"].(map[string]any)
	if !ok {
		return nil, 0, fmt.Errorf("vault's %s is no KV version 2 secret; give the mount of a KV version 2 engine in the option kv", s.path("data", reference))
	}
	metadata, _ := secret.Data["metadata"].(map[string]any)
	return fields, whole(metadata["version"]), nil
}

// assemble makes a set of the fields of a secret.
func (s *Source) assemble(ctx context.Context, reference string, version int, fields map[string]any) (*keys.Set, error) {
	material := make(keys.Material)
	seen := stamp{version: version, transit: make(map[string]string)}
	name := "version " + strconv.Itoa(version)
	for _, role := range keys.Roles {
		field, ok := fields[string(role)]
		if !ok {
			continue
		}
		text, ok := field.(string)
		if !ok {
			return nil, fmt.Errorf("the field %s of vault's %s is not a string", role, s.path("data", reference))
		}
		value := keys.Value{
			Text:   []byte(text),
			Origin: fmt.Sprintf("vault %s version %d field %s", s.path("data", reference), version, role),
		}
		if key, ok := strings.CutPrefix(strings.TrimSpace(text), transitPrefix); ok {
			private, versions, err := s.transit(ctx, role, key)
			if err != nil {
				return nil, fmt.Errorf("the field %s of vault's %s: %w", role, s.path("data", reference), err)
			}
			value.Private = private
			seen.transit[key] = versions
		}
		material[role] = value
	}
	if len(material) == 0 {
		return nil, fmt.Errorf("vault's %s has none of the fields sign, verify, encrypt, decrypt, secret and verify_secret", s.path("data", reference))
	}
	for _, versions := range seen.transit {
		name += ", transit " + versions
	}
	set, err := keys.Parse(reference, name, material)
	if err != nil {
		return nil, err
	}
	set.Stamp = seen
	return set, nil
}

// sameTransit reports whether the Transit keys of a set still have the
// versions that they had.
func (s *Source) sameTransit(ctx context.Context, before stamp) (bool, error) {
	now := make(map[string]string, len(before.transit))
	for key := range before.transit {
		found, err := s.transitKey(ctx, key)
		if err != nil {
			return false, err
		}
		now[key] = found.state()
	}
	return maps.Equal(before.transit, now), nil
}

func (s *Source) unknown(reference string) error {
	return fmt.Errorf("%w: vault has no %s", keys.ErrUnknown, s.path("data", reference))
}

// path is a path of the KV engine; kind is "data" or "metadata".
func (s *Source) path(kind, reference string) string {
	segments := strings.Split(reference, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return s.KV + "/" + kind + "/" + strings.Join(segments, "/")
}

// whole reads a number of Vault's JSON.
func whole(value any) int {
	n, err := strconv.Atoi(fmt.Sprint(value))
	if err != nil {
		return 0
	}
	return n
}

package vault

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/countersign/caddy-countersign/module/keys"
)

// version is one version of a KV secret. A secret that was removed with all its
// versions begins again at 1, so the time belongs to it.
type version struct {
	number  int
	created string
}

// Load reads the secret of a reference, or returns previous if neither it nor
// a Transit key that it names has another version.
func (s *Source) Load(ctx context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	var before stamp
	known := false
	if previous != nil {
		before, known = previous.Stamp.(stamp)
	}
	var now version
	var fields map[string]any
	blind := known && before.blind
	if !blind {
		var err error
		now, err = s.version(ctx, reference)
		if blind = isStatus(err, http.StatusForbidden); err != nil && !blind {
			return nil, err
		}
	}
	if blind || !known || now != before.version {
		var err error
		if fields, now, err = s.fields(ctx, reference, now.number); err != nil {
			return nil, err
		}
	}
	if known && now == before.version {
		if same, err := s.sameTransit(ctx, before); err != nil {
			return nil, err
		} else if same {
			return previous, nil
		}
		if fields == nil {
			var err error
			if fields, now, err = s.fields(ctx, reference, now.number); err != nil {
				return nil, err
			}
		}
	}
	return s.assemble(ctx, reference, previous, fields, stamp{version: now, blind: blind})
}

// version is the current version of a secret. Where the policy does not show
// the metadata it fails with status 403.
func (s *Source) version(ctx context.Context, reference string) (version, error) {
	secret, err := s.client.read(ctx, s.path("metadata", reference))
	if isNothing(err) {
		return version{}, s.unknown(reference)
	}
	if err != nil {
		return version{}, err
	}
	number := whole(secret.Data["current_version"])
	versions, _ := secret.Data["versions"].(map[string]any)
	of, _ := versions[strconv.Itoa(number)].(map[string]any)
	destroyed, _ := of["destroyed"].(bool)
	deleted, _ := of["deletion_time"].(string)
	created, _ := of["created_time"].(string)
	if number == 0 || destroyed || deleted != "" {
		return version{}, s.unknown(reference)
	}
	return version{number, created}, nil
}

// fields reads one version of a secret, or the current one for number 0.
func (s *Source) fields(ctx context.Context, reference string, number int) (map[string]any, version, error) {
	r := request{path: s.path("data", reference)}
	if number != 0 {
		r.query = url.Values{"version": {strconv.Itoa(number)}}
	}
	secret, err := s.client.ask(ctx, r)
	if isNothing(err) {
		return nil, version{}, s.unknown(reference)
	}
	if err != nil {
		return nil, version{}, err
	}
	fields, metadata, ok := parts(secret)
	if !ok {
		return nil, version{}, fmt.Errorf("vault's %s is no KV version 2 secret; give the mount of a KV version 2 engine in the option kv", r.path)
	}
	created, _ := metadata["created_time"].(string)
	return fields, version{whole(metadata["version"]), created}, nil
}

func parts(secret *api.Secret) (fields, metadata map[string]any, ok bool) {
	fields, ok = secret.Data["data"].(map[string]any)
	metadata, has := secret.Data["metadata"].(map[string]any)
	return fields, metadata, ok && has
}

func (s *Source) unknown(reference string) error {
	return fmt.Errorf("%w: vault has no %s", keys.ErrUnknown, s.path("data", reference))
}

// path is a path of the KV engine; kind is "data" or "metadata".
func (s *Source) path(kind, reference string) string {
	return s.KV + "/" + kind + "/" + strings.Trim(reference, "/")
}

// whole reads a number of Vault's JSON.
func whole(value any) int {
	n, err := strconv.Atoi(fmt.Sprint(value))
	if err != nil {
		return 0
	}
	return n
}

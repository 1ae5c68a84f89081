package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/countersign/caddy-countersign/module/i18n"
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
//
// A first load reads the secret itself, which says its version: a start with
// many sets costs one request for each. Later ones look at the version first.
func (s *Source) Load(ctx context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	set, err := s.load(ctx, reference, previous)
	if e, ok := errors.AsType[*statusError](err); ok && (e.noEngine || e.status == http.StatusForbidden) {
		return nil, &keys.BrokenError{Err: err} // a repeated load would fail as well
	}
	return set, err
}

func (s *Source) load(ctx context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	before, known := stamp{}, false
	if previous != nil {
		before, known = previous.Stamp.(stamp)
	}
	if !known {
		return s.firstLoad(ctx, reference)
	}
	now, blind := version{}, before.blind
	if !blind {
		var err error
		now, err = s.version(ctx, reference)
		if blind = isStatus(err, http.StatusForbidden); err != nil && !blind {
			return nil, err
		}
	}
	var fields map[string]any
	if blind || now != before.version {
		var err error
		if fields, now, err = s.fields(ctx, reference, now.number); err != nil {
			return nil, err
		}
	}
	if now == before.version {
		if same, err := s.sameTransit(ctx, before); err != nil || same {
			return previous, err
		}
	}
	if fields == nil {
		var err error
		if fields, now, err = s.fields(ctx, reference, now.number); err != nil {
			return nil, err
		}
	}
	return s.assemble(ctx, reference, previous, fields, stamp{version: now, blind: blind})
}

func (s *Source) firstLoad(ctx context.Context, reference string) (*keys.Set, error) {
	if s.absent(ctx, reference) {
		return nil, s.unknown(reference)
	}
	fields, now, err := s.fields(ctx, reference, 0)
	if err != nil {
		if errors.Is(err, keys.ErrUnknown) {
			s.list.missed(reference)
		}
		return nil, err
	}
	return s.assemble(ctx, reference, nil, fields, stamp{version: now})
}

// version returns the current version of a secret. If the policy does not allow the
// metadata, the error has status 403.
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
	created, _ := of["created_time"].(string)
	if number == 0 || destroyed || deleted(of["deletion_time"], time.Now()) {
		return version{}, s.unknown(reference)
	}
	return version{number, created}, nil
}

// deleted reports whether a version's deletion_time has passed. Vault also gives
// the time at which a version will be deleted (delete_version_after).
func deleted(deletionTime any, now time.Time) bool {
	text, _ := deletionTime.(string)
	if text == "" {
		return false
	}
	when, err := time.Parse(time.RFC3339Nano, text)
	return err != nil || !now.Before(when)
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
		return nil, version{}, &keys.BrokenError{Err: i18n.Errorf("vault's %s is no KV version 2 secret; give the mount of a KV version 2 engine in the option kv", r.path)}
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
	return i18n.Errorf("%w: vault has no %s", keys.ErrUnknown, s.path("data", reference))
}

// path returns a path of the KV engine; kind is "data" or "metadata".
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

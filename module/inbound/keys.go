package inbound

import (
	"context"
	"errors"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

// FindKeys finds the key set of a reference, with every one of the roles. It
// fails with unknown_key_set or keys_unavailable.
func FindKeys(ctx context.Context, meter *telemetry.Meter, ring *keys.Ring, reference string, roles ...keys.Role) (*keys.Set, *problem.Problem) {
	end := meter.Span(ctx, telemetry.SpanKeysLoad)
	set, err := ring.Get(ctx, reference)
	if err == nil {
		err = set.Need(roles...)
	}
	if err == nil {
		end("")
		return set, nil
	}
	p := keysProblem(err)
	end(string(p.Reason))
	return nil, p
}

func keysProblem(err error) *problem.Problem {
	switch {
	case errors.Is(err, keys.ErrUnknown):
		return problem.New(problem.UnknownKeySet, i18n.T("there is no key set of the reference that the request leads to"), err)
	case errors.Is(err, keys.ErrMissingRole):
		return problem.New(problem.KeysUnavailable, i18n.T("a role that will be needed is missing: %v", err), err)
	case errors.Is(err, keys.ErrStale):
		return problem.New(problem.KeysUnavailable, i18n.T("the keys are older than max_stale allows, because their source does not answer"), err)
	default:
		return problem.New(problem.KeysUnavailable, i18n.T("the keys are not loaded; the log says why"), err)
	}
}

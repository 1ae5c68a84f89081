package app

import (
	"context"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
)

// want is a key set that a handler of this configuration needs.
type want struct {
	*source
	reference string // "" for a reference that depends on the request
	loaded    func(*keys.Set)
	refuse    func(*keys.Set) error
}

// look passes a set to the handler that needs it, as soon as the set has loaded.
func (w want) look(ctx context.Context, logger *zap.Logger) {
	set, err := w.ring.Get(ctx, w.reference)
	if err != nil {
		return // the ring logs why
	}
	if w.loaded != nil {
		w.loaded(set)
	}
	if w.refuse == nil {
		return
	}
	if err := w.refuse(set); err != nil {
		logger.Error("a key set is refused: no message can be signed or verified with it",
			zap.String("source", w.terms.Label()), zap.String("reference", w.reference), zap.Error(err))
	}
}

// usable reports whether the set is loaded, not too old and not refused.
func (w want) usable() bool {
	if !w.ring.Usable(w.reference) {
		return false
	}
	if w.refuse == nil {
		return true
	}
	set, err := w.ring.Get(context.Background(), w.reference) // does not wait: it is loaded
	return err == nil && w.refuse(set) == nil
}

// ParseReference reads the key reference of a handler. Placeholders such as {env.X} are
// replaced now, and {body.x} for each request. An unset variable is an error.
func ParseReference(text string) (keys.Template, error) {
	replaced, err := caddy.NewReplacer().ReplaceOrErr(text, true, false)
	if err != nil {
		return keys.Template{}, i18n.Errorf("the key reference: %w", err)
	}
	return keys.ParseTemplate(replaced)
}

// Use returns the ring of a source, and registers a reference that is loaded as soon as
// the app starts. Handlers call it in Provision. The set of a fixed reference is passed
// to loaded when it has loaded. While refuse returns an error for the set, the app is
// not ready, and the error is in the log. Both functions may be nil.
func (a *App) Use(name string, reference keys.Template, loaded func(*keys.Set), refuse func(*keys.Set) error) (*keys.Ring, error) {
	s := a.find(name)
	if s == nil {
		return nil, a.unknownSource(name)
	}
	w := want{source: s, loaded: loaded, refuse: refuse}
	if !reference.Dynamic() {
		w.reference = reference.String()
	}
	a.mu.Lock()
	a.wanted = append(a.wanted, w)
	a.mu.Unlock()
	return s.ring, nil
}

func (a *App) wants() []want {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.wanted)
}

// Ready reports whether every key set that the configuration names is loaded and not
// too old, and the source of every reference that depends on the request has answered
// within max_stale.
func (a *App) Ready() bool {
	for _, w := range a.wants() {
		if w.reference == "" && !w.ring.Answering() || w.reference != "" && !w.usable() {
			return false
		}
	}
	return true
}

// Operable reports whether every source with keys that never leave it, such as Vault's
// Transit keys, can sign and decrypt now. Ready does not check this: it is true for a
// loaded set even if its source is down.
func (a *App) Operable(ctx context.Context) bool {
	asked := make(map[*source]bool)
	for _, w := range a.wants() {
		src, ok := w.Source.(keysource.Operable)
		if !ok || asked[w.source] || !w.ring.Remote() {
			continue
		}
		asked[w.source] = true
		if src.Operable(ctx) != nil {
			return false
		}
	}
	return true
}

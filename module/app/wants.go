package app

import (
	"context"
	"slices"

	"go.uber.org/zap"

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

// look hands a set to the handler that wants it, as soon as it has loaded.
func (w want) look(ctx context.Context, logger *zap.Logger) {
	set, err := w.ring.Get(ctx, w.reference)
	if err != nil {
		return // the ring says why
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

// Use finds the ring of a source and has it load a reference as soon as the
// app starts. Handlers call it while they are provisioned. The set of a fixed
// reference is given to loaded once it has loaded. As long as refuse returns an
// error for it, the app is not ready, and the error is in the log. Both may be nil.
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

// Ready reports whether every key set that the configuration names is loaded
// and not too old, and the source of every reference that depends on the
// request has answered lately.
func (a *App) Ready() bool {
	for _, w := range a.wants() {
		if w.reference == "" && !w.ring.Answering() || w.reference != "" && !w.usable() {
			return false
		}
	}
	return true
}

// Operable reports whether every source with keys that never leave it, as
// Vault's Transit keys, can sign and decrypt now. Sets that are loaded but not
// usable without their source are the ones that Ready does not notice.
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

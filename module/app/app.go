// Package app is the Caddy app "countersign": the key sources, shared by all
// handlers and kept over reloads.
package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/telemetry"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds the key sources.
type App struct {
	// The key sources. The names of two sources differ; the default source has no name.
	SourcesRaw []json.RawMessage `json:"keys,omitempty" caddy:"namespace=countersign.keys inline_key=source"`

	// How audit entries are written. Default: one entry for each exchange,
	// through a queue of 10000.
	Audit *telemetry.AuditConfig `json:"audit,omitempty"`

	// The language of problems where a request prefers none: "zh" or "en".
	// Default: en.
	Language string `json:"language,omitempty"`

	// The recipes of this configuration, by name. The name of a recipe that ships is
	// refused. Default: none.
	Recipes protocol.Recipes `json:"recipes,omitempty"`

	// Allows a start while another process listens on the same port, for operators who
	// start a new Caddy before they stop the old one. Meanwhile each of the two gets a
	// part of the requests. Default: false.
	ReplaceRunning bool `json:"replace_running,omitempty"`

	labels  map[string]bool // of the sources, while a Caddyfile is read
	sources []*source
	ctx     caddy.Context
	audit   *telemetry.Audit
	signer  telemetry.Signer // of the audit chain, or nil
	hook    recorder.Hook
	logger  *zap.Logger

	mu     sync.Mutex
	wanted []want
	probes []*probe
	alike  map[string]int // how many there are, for Ordinal
	stop   context.CancelFunc
}

// source is a configured key source with its ring, which the next
// configuration takes over if it has the same source.
type source struct {
	keysource.Source
	terms keysource.Terms
	pool  string
	ring  *keys.Ring
}

// Ordinal returns how many earlier calls in this configuration had the same argument.
// It distinguishes handlers with equal options by the order in which they are
// provisioned, so that the number stays the same over a reload.
func (a *App) Ordinal(of string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.alike == nil {
		a.alike = make(map[string]int)
	}
	n := a.alike[of]
	a.alike[of]++
	return n
}

// Hook connects the handlers of the configuration with its inspector.
func (a *App) Hook() *recorder.Hook { return &a.hook }

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up the sources. It does not use the network.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	if !slices.Contains([]string{"", "zh", "en"}, a.Language) {
		return i18n.Errorf("the language of problems is zh or en, not %q", a.Language)
	}
	if err := telemetry.Register(ctx.GetMetricsRegistry()); err != nil {
		return i18n.Errorf("registering the metrics: %w", err)
	}
	for name, r := range a.Recipes {
		if err := checkRecipe(name, r); err != nil {
			return err
		}
	}
	raw := slices.Clone(a.SourcesRaw) // LoadModule empties it
	loaded, err := ctx.LoadModule(a, "SourcesRaw")
	if err != nil {
		return i18n.Errorf("setting up the key sources: %w", err)
	}
	for i, mod := range loaded.([]any) {
		src, ok := mod.(keysource.Source)
		if !ok {
			return i18n.Errorf("module %T is no key source", mod)
		}
		terms := src.Terms()
		if slices.ContainsFunc(a.sources, func(s *source) bool { return s.terms.Label() == terms.Label() }) {
			if terms.Name == "" {
				return i18n.Errorf("two key sources have no name; give all but one of them a name, other than default")
			}
			return i18n.Errorf("two key sources are called %q; give each a name of its own", terms.Name)
		}
		ring, pool, err := shared(src, raw[i])
		if err != nil {
			return err
		}
		a.sources = append(a.sources, &source{src, terms, pool, ring})
	}
	return a.provisionAudit(ctx)
}

// Start begins to load the key sets of the handlers. It does not wait for them: a
// request waits until its own set is loaded.
func (a *App) Start() error {
	telemetry.GuardStderr()
	telemetry.GuardShutdown()
	if err := a.checkServers(); err != nil {
		return err
	}
	if err := a.audit.Start(a.signer, a.logger); err != nil {
		return err
	}
	// Errors until here are printed on the terminal, in its language; from here on
	// texts go into a log.
	i18n.Use(i18n.English)
	if len(a.sources) > 0 {
		keys.Harden(a.logger)
		a.sayArithmetic()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	for _, w := range a.wanted {
		w.ring.Pin(w.reference)
		if w.reference != "" {
			go w.look(ctx, a.logger)
		}
	}
	for _, p := range a.probes {
		go p.run(ctx, a.logger)
	}
	for _, s := range a.sources {
		s.ring.Start()
		telemetry.WatchSource(s.terms.Label(), s.ring)
	}
	return nil
}

// sayArithmetic logs which implementation computes with RSA private keys. A binary that
// was built for OpenSSL uses crypto/rsa, which takes about three times as long, where
// the machine has no OpenSSL 3.
func (a *App) sayArithmetic() {
	implementation, err := keys.Arithmetic()
	telemetry.Arithmetic(implementation)
	if err != nil {
		a.logger.Warn("OpenSSL does not compute with RSA keys; Go does, about three times as slow", zap.Error(err))
		return
	}
	a.logger.Debug("RSA keys are held in memory", zap.String("arithmetic", implementation))
}

// Stop releases the key sets of this configuration. A ring that the next configuration
// uses as well goes on.
func (a *App) Stop() error {
	a.audit.Stop()
	a.halt()
	return nil
}

// Cleanup releases the sources. Key sets that exchanges in flight use stay usable.
func (a *App) Cleanup() error {
	a.audit.Stop()
	a.halt() // Caddy stops no app where the endpoints of a new configuration fail after its apps have started
	var failed []error
	for _, s := range a.sources {
		if _, err := rings.Delete(s.pool); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// halt undoes Start, once.
func (a *App) halt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop == nil {
		return
	}
	a.stop()
	for _, w := range a.wanted {
		w.ring.Unpin(w.reference)
	}
	a.stop = nil
}

func (a *App) find(name string) *source {
	for _, s := range a.sources {
		if s.terms.Name == name {
			return s
		}
	}
	return nil
}

func (a *App) unknownSource(name string) error {
	switch {
	case len(a.sources) == 0:
		return i18n.Errorf("no key source is configured; add `countersign { keys file <dir> }` or `countersign { keys vault <address> }` to the global options")
	case name == "":
		return i18n.Errorf("there is no default key source, only %s; name one of them before the reference", a.names())
	default:
		return i18n.Errorf("there is no key source called %q, only %s", name, a.names())
	}
}

func (a *App) names() string {
	names := make([]string, len(a.sources))
	for i, s := range a.sources {
		names[i] = s.terms.Label()
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// LanguageOf returns the language of problems where a request prefers none, as the
// configuration says it: English where there is no app countersign.
func LanguageOf(ctx caddy.Context) (i18n.Language, error) {
	loaded, err := ctx.AppIfConfigured("countersign")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return i18n.English, nil
	}
	if err != nil {
		return "", err
	}
	a, ok := loaded.(*App)
	if !ok {
		return i18n.English, nil
	}
	return a.ProblemLanguage(), nil
}

// ProblemLanguage returns the language of problems where a request prefers none.
func (a *App) ProblemLanguage() i18n.Language { return cmp.Or(i18n.Language(a.Language), i18n.English) }

// Source is one key source.
type Source struct {
	keysource.Source
	Ring *keys.Ring
}

// Sources returns the configured key sources.
func (a *App) Sources() []Source {
	out := make([]Source, len(a.sources))
	for i, s := range a.sources {
		out[i] = Source{s.Source, s.ring}
	}
	return out
}

// poolKey returns the same key for two sources with the same options, wherever in the
// file they stand: after a line is added above a source, its keys and its login are
// kept.
func poolKey(src keysource.Source, raw json.RawMessage) string {
	var options map[string]json.RawMessage
	if json.Unmarshal(raw, &options) == nil {
		delete(options, "line")
		if sorted, err := json.Marshal(options); err == nil { // which compacts the values as well
			raw = sorted
		}
	}
	sum := sha256.Sum256(append([]byte(src.CaddyModule().ID+"\x00"), raw...))
	return hex.EncodeToString(sum[:])
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)

package notify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/stores"
)

// How long a repeat waits for the first notification, which is still being handled.
const (
	waitForFirst = 5 * time.Second
	firstPause   = 20 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// leaseBeyond is how much longer than timeout a claim lasts after its process has died.
const leaseBeyond = 15 * time.Second

// Once says how long acknowledged notifications are remembered, and in which store.
type Once struct {
	// How long a notification is remembered. It should be longer than the provider
	// repeats a notification. Required.
	For caddy.Duration `json:"for"`

	// The store. Default: memory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=countersign.stores inline_key=name"`
}

// provision sets up the store; nil for a handler without once.
func (o *Once) provision(ctx caddy.Context) (stores.Store, error) {
	if o == nil {
		return nil, nil
	}
	if o.For <= 0 {
		return nil, i18n.Errorf("once needs a duration, such as 24h")
	}
	return o.Open(ctx)
}

// Open sets up the store that the configuration names.
func (o *Once) Open(ctx caddy.Context) (stores.Store, error) {
	if len(o.StoreRaw) == 0 {
		o.StoreRaw = json.RawMessage(`{"name":"memory"}`)
	}
	loaded, err := ctx.LoadModule(o, "StoreRaw")
	if err != nil {
		return nil, i18n.Errorf("setting up the store: %w", err)
	}
	store, ok := loaded.(stores.Store)
	if !ok {
		return nil, i18n.Errorf("module %T is no store", loaded)
	}
	return store, nil
}

// once passes the notification to the application unless the application has
// acknowledged it before. In that case it repeats the stored answer.
func (n *notification) once(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	key := n.key()
	state, remembered, err := n.claim(r.Context(), key)
	switch {
	case err != nil:
		return n.refuse(w, r, problem.New(problem.StoreUnavailable, i18n.T("the store that remembers notifications does not answer; the log says why"), err))
	case state == stores.Running:
		return n.refuse(w, r, problem.New(problem.NotificationInProgress, i18n.T("the application is still being asked about the same notification"), nil))
	case state == stores.Remembered:
		return n.repeat(w, remembered)
	}
	finished := false
	defer func() { // also when the application panics: others may be waiting
		if !finished {
			n.report(n.h.store.Release(context.WithoutCancel(r.Context()), key, n.entry.ID))
		}
	}()
	answer, err := n.ask(w, r, next)
	if err != nil {
		return n.failed(w, r, answer, err)
	}
	if n.h.acknowledged(answer) {
		finished = n.finish(r.Context(), key, answer)
	}
	answer.release()
	return nil
}

// key returns the key of the notification in the store, made of the place of its
// parameters, the handler, the profile, the reference and scheme.Verified.Identity. The
// canonical string alone would not do: strings without escapes are equal for different
// messages.
func (n *notification) key() string {
	sum := n.verified.Identity(n.h.rules.Notify)
	place := ""
	if len(n.verified.Wire()) == 0 {
		place = "query:" // an application that reads the body alone has not seen it
	}
	return place + url.QueryEscape(n.h.identity) + ":" + url.QueryEscape(n.h.Profile) + ":" + url.QueryEscape(n.entry.Reference) + ":" + hex.EncodeToString(sum[:])
}

// claim claims the notification. It waits a short time while another request has the
// claim.
func (n *notification) claim(ctx context.Context, key string) (stores.State, *stores.Answer, error) {
	lease := time.Duration(n.h.Timeout) + leaseBeyond
	deadline := time.Now().Add(waitForFirst)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		state, answer, err := n.h.store.Claim(context.WithoutCancel(ctx), key, n.entry.ID, lease)
		if err != nil || state != stores.Running || time.Now().After(deadline) {
			return state, answer, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return stores.Running, nil, nil
		}
	}
}

// finish stores an acknowledgement and reports whether the claim has ended. If the
// store fails, the provider still gets the acknowledgement; the claim then ends with
// its lease.
func (n *notification) finish(ctx context.Context, key string, answer *answerWriter) bool {
	if !answer.whole() {
		n.h.logger.Warn("an acknowledgement is too large or encoded and is not remembered; a repeat will reach the application",
			zap.String("id", n.entry.ID), zap.String("profile", n.h.Profile), zap.Int("largest", maxAnswer))
		return false
	}
	kept := &stores.Answer{Status: answer.status, ContentType: answer.Header().Get("Content-Type"), Body: answer.held}
	n.report(n.h.store.Finish(context.WithoutCancel(ctx), key, n.entry.ID, kept, time.Duration(n.h.Once.For)))
	return true
}

// report logs that the store failed after the application was asked.
func (n *notification) report(err error) {
	if err != nil {
		n.h.logger.Error("the store of notifications failed", zap.String("id", n.entry.ID), zap.String("profile", n.h.Profile), zap.Error(err))
	}
}

// repeat gives the answer that the application gave before.
func (n *notification) repeat(w http.ResponseWriter, answer *stores.Answer) error {
	n.entry.UpstreamStatus, n.entry.ResponseBytes = answer.Status, len(answer.Body)
	n.inspection.answers(answer.Status, answer.Body)
	n.end(outcomeRepeated, "")
	if answer.ContentType != "" {
		w.Header().Set("Content-Type", answer.ContentType)
	}
	w.WriteHeader(answer.Status)
	_, err := w.Write(answer.Body)
	return err
}

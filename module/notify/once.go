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

// The patience with a repeat whose first is still running.
const (
	waitForFirst = 5 * time.Second
	firstPause   = 20 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// leaseBeyond is how much longer than the application's time a claim lasts when
// its holder has died.
const leaseBeyond = 15 * time.Second

// Once is for how long acknowledged notifications are remembered, and where.
type Once struct {
	// How long a notification is remembered. It should be longer than the
	// provider goes on sending. Required.
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

// once hands the notification over unless the application has acknowledged it
// before, in which case the same answer is given again.
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

// key names the notification: by where it stood, handler, profile, reference and what
// makes it the same notification. The canonical string is not enough for that: strings that do
// not escape are the same for different messages.
func (n *notification) key() string {
	sum := n.verified.Identity(n.h.rules.Notify)
	place := ""
	if len(n.verified.Wire()) == 0 {
		place = "query:" // an application that reads the body alone has not seen it
	}
	return place + url.QueryEscape(n.h.identity) + ":" + url.QueryEscape(n.h.Profile) + ":" + url.QueryEscape(n.entry.Reference) + ":" + hex.EncodeToString(sum[:])
}

// claim claims the notification. While another holds the claim it waits a
// little.
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

// finish remembers an acknowledgement and reports whether the claim has ended.
// When the store fails, the provider still gets the acknowledgement, which the
// application has given; the claim then ends with its lease.
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

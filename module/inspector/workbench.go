package inspector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	why "github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe/guess"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The bounds of the workbench.
const (
	maxInput  = 4 << 20 // of one request of the page, in bytes
	guessTime = 30 * time.Second
)

// act carries out an action of the page, one at a time, because some take long to
// compute.
func (h *Handler) act(w http.ResponseWriter, r *http.Request, action func(r *http.Request) (any, error)) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxInput)
	if !h.search.TryAcquire(1) {
		return (&refusal{status: http.StatusTooManyRequests, text: i18n.T("the workbench is still at work; wait for it")}).write(w, r)
	}
	defer h.search.Release(1)
	result, err := action(r)
	if err != nil {
		return (&refusal{status: http.StatusUnprocessableEntity, text: i18n.Of(err)}).write(w, r)
	}
	return writeJSON(w, http.StatusOK, result)
}

// question is a request of the page to the workbench.
type question struct {
	Route     int      `json:"route"`
	As        string   `json:"as"`
	Text      string   `json:"text"`
	Canonical string   `json:"canonical"`
	Messages  []string `json:"messages"`

	ID    string `json:"id"`
	Fault string `json:"fault"`
}

func readQuestion(r *http.Request) (*question, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, i18n.Errorf("the text is larger than %d bytes", maxInput)
	}
	q := new(question)
	if err := json.Unmarshal(text, q); err != nil {
		return nil, i18n.Errorf("the request of the page cannot be read; load the page again")
	}
	return q, nil
}

// ask reads a question, its handler and the kind of the message.
func (h *Handler) ask(r *http.Request) (q *question, route *recorder.Route, kind message.Kind, err error) {
	if q, err = readQuestion(r); err != nil {
		return nil, nil, "", err
	}
	routes := h.hook.Routes()
	if q.Route < 0 || q.Route >= len(routes) {
		return nil, nil, "", i18n.Errorf("this handler is not in the configuration; load the page again")
	}
	if kind, err = diagnosis.Kind(q.As); err != nil {
		return nil, nil, "", i18n.Errorf("a message is a request, an answer or a notification")
	}
	return q, routes[q.Route], kind, nil
}

// recipeOf returns the scheme of a handler with its settings.
func recipeOf(route *recorder.Route) diagnosis.Recipe {
	r := diagnosis.Recipe{Scheme: route.Config.Name, Own: route.Recipes}
	for option, values := range route.Config.Settings {
		r.Settings = append(r.Settings, diagnosis.Setting{Option: option, Value: strings.Join(values, ",")})
	}
	return r
}

// comparing is the result of a comparison of two canonical strings.
type comparing struct {
	Equal  bool      `json:"equal"`
	Ours   signature `json:"ours"`
	At     int       `json:"at"`
	Member string    `json:"member,omitempty"`
	Before string    `json:"before"`
	Left   string    `json:"left"`
	Right  string    `json:"right"`
	Cause  string    `json:"cause,omitempty"`
	Words  string    `json:"words,omitempty"`
	Advice string    `json:"advice,omitempty"`
	Also   []string  `json:"also,omitempty"`
	Would  []string  `json:"would,omitempty"`
}

// diff compares our canonical string of a message with the provider's.
func (h *Handler) diff(r *http.Request) (any, error) {
	q, route, kind, err := h.ask(r)
	if err != nil {
		return nil, err
	}
	m, err := diagnosis.Read(route.Scheme, kind, []byte(q.Text))
	if err != nil {
		return nil, err
	}
	ours, err := diagnosis.Canonical(route.Scheme, m)
	if err != nil {
		return nil, i18n.Errorf("making the canonical string: %w", err)
	}
	theirs := []byte(q.Canonical)
	out := &comparing{Ours: signatureOf(ours)}
	d := diagnosis.Compare(ours, theirs)
	if d == nil {
		out.Equal = true
		return out, nil
	}
	out.At, out.Member = d.At, d.Member
	l := languageOf(r)
	for _, other := range d.Also {
		out.Also = append(out.Also, other.In(l))
	}
	out.Cause, out.Words, out.Advice = d.Cause.Name.In(l), d.Cause.Words.In(l), d.Cause.Advice.In(l)
	out.Before, out.Left, out.Right = diagnosis.Sides(d, ours, theirs)
	for _, v := range diagnosis.WouldEqual(recipeOf(route), m, theirs) {
		out.Would = append(out.Would, v.In(l))
	}
	return out, nil
}

// signatureOf shows our canonical string of a message.
func signatureOf(text []byte) signature {
	s := textOf(text)
	sum := sha256.Sum256(text)
	s.Digest = hex.EncodeToString(sum[:])
	return s
}

// explanation is the result of sealing or opening a message.
type explanation struct {
	Good       bool        `json:"good"`
	Error      string      `json:"error,omitempty"`
	Sentence   string      `json:"sentence,omitempty"`
	Would      []string    `json:"would,omitempty"`
	Reference  string      `json:"reference"`
	Version    string      `json:"version"`
	Keys       []keyInfo   `json:"keys"`
	Part       string      `json:"part,omitempty"`
	Note       string      `json:"note,omitempty"`
	Signatures []signature `json:"signatures,omitempty"`
	Expected   *signature  `json:"expected,omitempty"`
	Rows       []row       `json:"rows,omitempty"`
}

type keyInfo struct {
	Role        string `json:"role"`
	Fingerprint string `json:"fingerprint"`
	Used        bool   `json:"used"`
}

// explain returns the text that would be signed for a request, or whether a received
// message verifies and why not. It returns no signature.
func (h *Handler) explain(r *http.Request) (any, error) {
	q, route, kind, err := h.ask(r)
	if err != nil {
		return nil, err
	}
	if kind == message.Request {
		return h.explainRequest(r.Context(), route, []byte(q.Text))
	}
	m, err := diagnosis.Read(route.Scheme, kind, []byte(q.Text))
	if err != nil {
		return nil, err
	}
	set, err := keysOf(r.Context(), route, m)
	if err != nil {
		return nil, err
	}
	out := explainMessage(route, m, set, time.Now(), languageOf(r))
	if out.Good && h.recorder.Bodies() {
		out.Rows = out.rows(route, m)
	}
	return out.explanation, nil
}

// keysOf finds the key set of a handler for a message.
func keysOf(ctx context.Context, route *recorder.Route, m *message.Message) (*keys.Set, error) {
	reference, ok := route.Reference.Resolve(func(member string) (string, bool) { return diagnosis.Member(m, member) })
	if !ok {
		return nil, i18n.Errorf("the key reference names a member that the message does not have")
	}
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	return route.Ring.Get(ctx, reference)
}

func (h *Handler) explainRequest(ctx context.Context, route *recorder.Route, text []byte) (any, error) {
	if route.Scheme.Describe().Request == nil {
		return nil, i18n.Errorf("%s serves notifications only; it has no requests", route.Config.Name)
	}
	m, _, err := diagnosis.ReadPlain(route.Scheme, text)
	if err != nil {
		return nil, err
	}
	set, err := keysOf(ctx, route, m)
	if err != nil {
		return nil, err
	}
	if err := set.Need(diagnosis.SealRoles(route.Scheme, m)...); err != nil {
		return nil, err
	}
	sealed, err := scheme.Seal(route.Scheme, scheme.Request{Message: m, Keys: set, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	traces := recorder.Mask(sealed.Traces(), set)
	out := &explanation{Good: true, Reference: set.Reference, Version: set.Version, Keys: keysShown(set, sealed.Fingerprints), Signatures: signaturesOf(traces)}
	return out, nil
}

// opened is an explanation with what has verified.
type opened struct {
	explanation
	verified *scheme.Verified
}

// explainMessage opens a message, and says why it does not verify.
func explainMessage(route *recorder.Route, m *message.Message, set *keys.Set, at time.Time, l i18n.Language) *opened {
	in := scheme.Incoming{Message: m, Keys: set, Now: at}
	verified, err := scheme.Open(route.Scheme, in)
	out := &opened{verified: verified}
	out.Reference, out.Version = set.Reference, set.Version
	if err == nil {
		out.Good, out.Part, out.Note = !verified.IsUnsigned(), verified.Part(), verified.Note().In(l)
		if verified.IsUnsigned() {
			out.Error = i18n.T("the message is not signed; the provider's rule allows that for this one, and nothing in it is verified").In(l)
		}
		out.Keys = keysShown(set, verified.Fingerprints())
		out.Signatures = signaturesOf(recorder.Mask(verified.Traces(), set))
		return out
	}
	out.Error, out.Keys = i18n.Of(err).In(l), keysShown(set, nil)
	if text, err := diagnosis.Canonical(route.Scheme, m); err == nil {
		expected := signatureOf(recorder.MaskText(text, set))
		out.Expected = &expected
	}
	switch reason := scheme.ReasonOf(err); reason {
	case scheme.BadSignature, scheme.NeedsKeys, scheme.Decryption:
		found, _ := diagnosis.WouldOpen(recipeOf(route), m, set, at, reason == scheme.Decryption)
		for _, v := range found {
			out.Would = append(out.Would, v.In(l))
		}
		out.Sentence = why.Sentence(route.Scheme, in, err).In(l)
	}
	return out
}

// rows returns the members of a message beside what was decrypted and unwrapped of it.
func (o *opened) rows(route *recorder.Route, m *message.Message) []row {
	d := route.Scheme.Describe()
	direction := d.Answer
	if m.Kind == message.Notification {
		direction = d.Notification
	}
	handed := message.New(m.Kind)
	handed.Wire = o.verified.Body()
	b := &recorder.Bodies{Scheme: route.Scheme, Received: recorder.NewPart(m), Handed: recorder.NewPart(handed), Opened: o.verified.Traces()}
	return incomingRows(b, direction)
}

func keysShown(set *keys.Set, used []string) []keyInfo {
	var all []keyInfo
	for _, role := range set.Roles() {
		for _, k := range set.Info(role) {
			info := keyInfo{Role: string(role), Fingerprint: k.Fingerprint}
			for _, u := range used {
				info.Used = info.Used || u == k.Fingerprint
			}
			all = append(all, info)
		}
	}
	return all
}

// guess looks for the rule by which messages were signed.
func (h *Handler) guess(r *http.Request) (any, error) {
	q, route, kind, err := h.ask(r)
	if err != nil {
		return nil, err
	}
	var messages []*message.Message
	for i, text := range q.Messages {
		if strings.TrimSpace(text) == "" {
			continue
		}
		m, whole, err := diagnosis.Split(kind, []byte(text))
		if err != nil {
			return nil, i18n.Errorf("message %d: %w", i+1, err)
		}
		if !whole { // a body alone has no method and no path
			m.Method, m.Path, m.Status = "", "", 0
		}
		messages = append(messages, m)
	}
	if len(messages) == 0 {
		return nil, i18n.Errorf("paste at least one message that the provider has signed")
	}
	set, err := keysOf(r.Context(), route, messages[0])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), guessTime)
	defer cancel()
	result, err := guess.Search(ctx, kind, messages, set)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"tried": result.Tried, "over": result.Over, "searched": result.Searched}
	var others []string
	for i, fit := range result.Fits {
		if i == 0 {
			out["recipe"] = fit.String()
		} else {
			others = append(others, fit.Summary())
		}
	}
	out["others"] = others
	return out, nil
}

// clear forgets all records.
func (h *Handler) clear(*http.Request) (any, error) {
	h.recorder.Clear()
	return map[string]bool{"cleared": true}, nil
}

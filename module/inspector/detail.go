package inspector

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/command/visible"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/problem"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// detail is a record as a whole.
type detail struct {
	summary
	Title         string   `json:"title,omitempty"`
	Detail        string   `json:"detail,omitempty"`
	Diagnosis     string   `json:"diagnosis,omitempty"`
	Would         []string `json:"would,omitempty"` // what would have verified
	Verdict       string   `json:"verdict,omitempty"`
	Guard         string   `json:"guard,omitempty"`
	Signed        string   `json:"signed,omitempty"`
	Fingerprints  []string `json:"fingerprints"`
	Digest        string   `json:"canonical_sha256,omitempty"`
	RequestBytes  int      `json:"request_bytes"`
	ResponseBytes int      `json:"response_bytes"`
	Bodies        *bodies  `json:"bodies,omitempty"`
}

// bodies are the messages of a record, as they are shown.
type bodies struct {
	Posted   *part `json:"posted,omitempty"`
	Sent     *part `json:"sent,omitempty"`
	Received *part `json:"received,omitempty"`
	Handed   *part `json:"handed,omitempty"`
	Answered *part `json:"answered,omitempty"`

	Request []row `json:"request,omitempty"` // posted beside sent
	Answer  []row `json:"answer,omitempty"`  // received beside handed back

	Sealed   []signature `json:"sealed,omitempty"`
	Opened   []signature `json:"opened,omitempty"`
	Expected *signature  `json:"expected,omitempty"` // our text of what did not verify

	UpstreamCode string   `json:"upstream_code,omitempty"`
	CanSend      bool     `json:"can_send"`
	Faults       []string `json:"faults,omitempty"`
}

// part is one message.
type part struct {
	Line   string   `json:"line"`
	Header []header `json:"header,omitempty"`
	Text   string   `json:"text"`
	Bytes  int      `json:"bytes"`
	Cut    bool     `json:"cut,omitempty"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Mark  string `json:"mark,omitempty"`
}

// signature is a signature with the text that it covers, its invisible characters
// shown.
type signature struct {
	Where       string `json:"where,omitempty"`
	Algorithm   string `json:"algorithm,omitempty"`
	Encoding    string `json:"encoding,omitempty"`
	Part        string `json:"part,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Text        string `json:"text"` // invisible characters marked
	Raw         string `json:"raw"`  // to be copied
	Bytes       int    `json:"bytes"`
	Characters  int    `json:"characters"`
	Hidden      int    `json:"hidden"` // number of invisible and confusable characters
	Digest      string `json:"sha256"` // of the text without secrets
}

func partOf(p *recorder.Part, traces []scheme.Trace) *part {
	if p == nil {
		return nil
	}
	out := &part{Text: string(p.Wire), Bytes: len(p.Wire), Cut: p.Cut}
	if !utf8.Valid(p.Wire) {
		out.Text = visible.Show(p.Wire)
	}
	switch {
	case p.Kind == message.Answer && p.Status != 0:
		out.Line = fmt.Sprintf("%d %s", p.Status, http.StatusText(p.Status))
	case p.Kind != message.Answer && p.Method != "":
		out.Line = p.Method + " " + p.URI()
	}
	if p.Host != "" && p.Kind == message.Request {
		out.Header = append(out.Header, header{Name: "Host", Value: p.Host})
	}
	for name, values := range p.Header {
		for _, value := range values {
			mark := ""
			if slices.ContainsFunc(traces, func(t scheme.Trace) bool {
				return strings.HasPrefix(strings.ToLower(t.Where)+".", "header."+strings.ToLower(name)+".")
			}) {
				mark = "signature"
			}
			out.Header = append(out.Header, header{name, value, mark})
		}
	}
	slices.SortFunc(out.Header, func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func signaturesOf(traces []scheme.Trace) []signature {
	var all []signature
	for _, t := range traces {
		s := textOf(t.Text)
		s.Where, s.Algorithm, s.Encoding, s.Part, s.Fingerprint = t.Where, t.Algorithm, t.Encoding, t.Part, t.Fingerprint
		s.Digest = hex.EncodeToString(t.Digest[:])
		all = append(all, s)
	}
	return all
}

// textOf shows a canonical string.
func textOf(text []byte) signature {
	return signature{Text: visible.Show(text), Raw: string(text), Bytes: len(text), Characters: utf8.RuneCount(text), Hidden: hidden(text)}
}

func hidden(text []byte) int {
	n := 0
	for _, r := range string(text) {
		if _, wide := visible.Narrow(r); wide || visible.Hidden(r) {
			n++
		}
	}
	return n
}

// serveRecord serves a record as a whole.
func (h *Handler) serveRecord(w http.ResponseWriter, r *http.Request) error {
	rec := h.recorder.Find(strings.TrimPrefix(r.URL.Path, "/records/"))
	if rec == nil {
		return (&refusal{status: http.StatusNotFound, text: i18n.T("this record is not kept any more")}).write(w, r)
	}
	e, l := &rec.Entry, languageOf(r)
	d := &detail{
		summary: summaryOf(rec), Detail: rec.Detail.In(l), Diagnosis: rec.Diagnosis.In(l), Verdict: e.Verdict, Guard: e.Guard, Signed: rec.Signed,
		Fingerprints: e.Fingerprints, RequestBytes: e.RequestBytes, ResponseBytes: e.ResponseBytes,
	}
	if d.State == "fault" {
		d.Title = problem.Reason(e.Outcome).Title(l)
	}
	if e.CanonicalSHA != [32]byte{} {
		d.Digest = hex.EncodeToString(e.CanonicalSHA[:])
	}
	if rec.Bodies != nil {
		d.Bodies = h.bodiesOf(rec)
		h.explainRecord(r.Context(), rec, d, l)
	}
	return writeJSON(w, http.StatusOK, d)
}

// languageOf returns the language in which the page asks: that of its reader.
func languageOf(r *http.Request) i18n.Language {
	return i18n.Accepted(r.Header.Get("Accept-Language"), i18n.English)
}

func (h *Handler) bodiesOf(rec *recorder.Record) *bodies {
	b := rec.Bodies
	out := &bodies{
		Posted: partOf(b.Posted, nil), Sent: partOf(b.Sent, b.Sealed), Received: partOf(b.Received, b.Opened), Handed: partOf(b.Handed, nil), Answered: partOf(b.Answered, nil),
		Sealed: signaturesOf(b.Sealed), Opened: signaturesOf(b.Opened), UpstreamCode: b.UpstreamCode,
	}
	rules := b.Scheme.Describe()
	if rec.Kind == recorder.Exchange {
		out.Request = requestRows(b)
		out.CanSend = b.Posted != nil && !b.Posted.Cut && h.hook.Sandbox(rec.Entry.Scheme) != nil && h.routeOf(rec) != nil
		if out.CanSend {
			out.Faults = faults
		}
		if b.Received != nil {
			out.Answer = incomingRows(b, rules.Answer)
		}
	} else if b.Received != nil {
		out.Answer = incomingRows(b, rules.Notification)
	}
	return out
}

// routeOf returns the handler that a record is of, or nil.
func (h *Handler) routeOf(rec *recorder.Record) *recorder.Route {
	for _, r := range h.hook.Routes() {
		if r.Kind == rec.Kind && r.Profile == rec.Entry.Profile && r.Config.Name == rec.Entry.Scheme {
			return r
		}
	}
	return nil
}

// explainTime is how long an explanation may take.
const explainTime = 5 * time.Second

// explainRecord says why a message did not verify, and what would have.
func (h *Handler) explainRecord(ctx context.Context, rec *recorder.Record, d *detail, l i18n.Language) {
	b := rec.Bodies
	switch problem.Reason(rec.Entry.Outcome) {
	case problem.ResponseSignatureInvalid, problem.NotificationSignatureInvalid:
	default:
		return
	}
	route := h.routeOf(rec)
	if route == nil || b.Received == nil || b.Received.Cut {
		return
	}
	m, err := read(route.Scheme, &b.Received.Message)
	if err != nil {
		return
	}
	if text, err := diagnosis.Canonical(route.Scheme, m); err == nil {
		expected := signatureOf(text)
		d.Bodies.Expected = &expected
	}
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	set, err := route.Ring.Get(ctx, rec.Entry.Reference)
	if err != nil {
		return
	}
	why := explainMessage(route, m, set, rec.Time, l)
	if why.Sentence != "" {
		d.Diagnosis = why.Sentence
	}
	d.Would = why.Would
}

// read reads the payload of a message that was kept.
func read(s scheme.Scheme, kept *message.Message) (*message.Message, error) {
	m := *kept
	d := s.Describe()
	direction := map[message.Kind]*scheme.Direction{message.Request: d.Request, message.Answer: d.Answer, message.Notification: d.Notification}[m.Kind]
	if direction == nil {
		return nil, i18n.Errorf("%s has no rule for a message that is a %s", d.Name, m.Kind)
	}
	if err := direction.Format.Read(&m); err != nil {
		return nil, err
	}
	return &m, nil
}

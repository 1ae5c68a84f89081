// Package guess finds the recipe of a provider from messages that it has signed.
//
// The documentation of small providers is often wrong or missing; a captured message is
// not. The search tries the places of a signature, the texts that it may cover, the
// places of the secret, the digests and the encodings. Each candidate is a compiled
// recipe that opens the messages, so a recipe that is found verifies them.
package guess

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Result is the result of a search.
type Result struct {
	Tried int    // candidates that were tried
	Fits  []Rule // those that verify every message, the plainest first
	Over  bool   // the context ended before all candidates were tried
	// Searched lists for people what was searched: places, texts and algorithms.
	Searched []string
	Said     string // what the signature shows by itself where nothing fits, or ""
}

// Search looks for the rules by which messages of one kind were signed. The messages
// have their Wire, headers and lines; Search reads their payload. The keys are those
// that verify; for requests, those that sign. If the context ends, Search returns what
// was found so far.
func Search(ctx context.Context, kind message.Kind, messages []*message.Message, set *keys.Set) (*Result, error) {
	if len(messages) == 0 {
		return nil, i18n.Errorf("guess needs at least one message")
	}
	if kind == message.Request {
		set = mirrored(set)
	}
	result := new(Result)
	for _, format := range formatsOf(messages[0]) {
		read := make([]*message.Message, len(messages))
		for i, m := range messages {
			copied := *m
			if err := parse(&copied, format); err != nil {
				return nil, i18n.Errorf("reading message %d as %s: %w", i+1, format, err)
			}
			read[i] = &copied
		}
		s := &search{ctx: ctx, kind: kind, format: format, messages: read, set: set, result: result, verified: make(map[[sha256.Size]byte]bool)}
		s.single = s.oneSecret()
		s.run()
		if len(result.Fits) > 0 || result.Over {
			break
		}
	}
	return result, nil
}

// mirrored returns the key set of the other side: the key that signs here verifies
// there.
func mirrored(set *keys.Set) *keys.Set {
	other := *set
	other.Verify = nil
	for _, own := range []*keys.PrivateKey{set.Sign} {
		if own != nil {
			other.Verify = append(other.Verify, keys.NewPublicKey(own.Key, own.Origin))
		}
	}
	return &other
}

// formatsOf returns the ways in which the body of a message may travel.
func formatsOf(m *message.Message) []string {
	formats := kindsOf(m)
	kind, _, _ := strings.Cut(formats[0], " ")
	if f := (message.Format{Kind: kind}); kind != message.JSON && f.LooksLikeGBK(m.Wire) {
		for i := range formats {
			formats[i] += gbk
		}
	}
	return formats
}

func kindsOf(m *message.Message) []string {
	raw := strings.TrimSpace(strings.TrimPrefix(string(m.Wire), "\ufeff"))
	switch {
	case raw == "" && m.Method == "GET" && strings.Contains(m.Query, "="):
		return []string{message.Form}
	case strings.HasPrefix(raw, "<"):
		return []string{message.XML}
	case raw == "" || strings.HasPrefix(raw, "{") || !strings.Contains(raw, "="):
		return []string{message.JSON}
	case strings.ContainsAny(raw, "%") || !strings.ContainsAny(raw, "+/:{ ") && !strings.Contains(raw, "=="):
		return []string{message.Form, formRaw}
	}
	return []string{formRaw, message.Form}
}

// gbk stands behind a format whose text is GBK.
const gbk = " charset gbk"

// formRaw is a form whose values are not URL-encoded.
const formRaw = message.Form + " raw"

// parse reads the payload of a message. A body that is not JSON has no members: only
// its bytes can be signed.
func parse(m *message.Message, format string) error {
	var f message.Format
	format, inGBK := strings.CutSuffix(format, gbk)
	if inGBK {
		f.Options.Charset = "gbk"
	}
	f.Kind, _, f.Options.Raw = strings.Cut(format, " ")
	if f.Kind == message.Form {
		m.Wire = []byte(strings.TrimSpace(string(m.Wire))) // an editor puts a line end behind it
	}
	err := f.Read(m)
	if err != nil && format == message.JSON && !strings.HasPrefix(strings.TrimSpace(string(m.Wire)), "{") {
		return nil
	}
	return err
}

// search is one search.
type search struct {
	ctx      context.Context
	kind     message.Kind
	format   string
	messages []*message.Message
	set      *keys.Set
	result   *Result

	single   bool                       // no secret has a second one beside it
	verified map[[sha256.Size]byte]bool // what public keys say of the texts that were tried
}

// maxFits is the number of rules after which the search ends.
const maxFits = 20

func (s *search) run() {
	places := findPlaces(s.messages)
	if len(places) == 0 && len(s.result.Searched) > 0 {
		return // read in another way, the message had places
	}
	if len(places) == 0 {
		s.result.Searched = append(s.result.Searched, i18n.Sprintf("no member, no header and no parameter looks like a signature: hexadecimal, or Base64 of at least 16 bytes"))
		return
	}
	for _, effort := range []int{plain, thorough} {
		for _, p := range places {
			algorithms := s.algorithms(p)
			if place := p.describe(algorithms); !slices.Contains(s.result.Searched, place) {
				s.result.Searched = append(s.result.Searched, place)
			}
			for _, t := range s.texts(p, effort) {
				if !s.tryText(p, t, algorithms, effort) {
					return
				}
			}
		}
		if len(s.result.Fits) > 0 {
			return
		}
	}
	s.explain(places)
}

// explain says what the signature shows by itself where nothing fits: that of RSA shows
// its key and the digest. It is that of the first place.
func (s *search) explain(places []place) {
	for _, p := range places {
		names := s.algorithms(p)
		for _, name := range names {
			said := s.sentence(p, name)
			if said != "" && (s.result.Said == "" || len(said) < len(s.result.Said)) { // of another algorithm it says that too
				s.result.Said = said
			}
		}
		if len(names) > 0 {
			return
		}
	}
}

// sentence returns why a plain rule with an algorithm does not open the first message.
func (s *search) sentence(p place, algorithm string) string {
	rule := Rule{Kind: s.kind, Format: s.format, Place: p.name, Split: p.split, Algorithm: algorithm, Encoding: p.encoding, Text: [][]string{{"{body}"}}}
	if p.member != "" {
		rule.Text = [][]string{{"sorted", "body", "except", p.member, "nested", "json"}}
	}
	program, err := recipe.Compile("guess", rule.probe(), nil)
	if err != nil {
		return ""
	}
	m := *s.messages[0]
	if m.Kind == message.Request {
		m.Kind = message.Notification
	}
	in := scheme.Incoming{Message: &m, Keys: s.set, Now: time.Now()}
	_, err = scheme.Open(program, in)
	return diagnosis.Sentence(program, in, err).String()
}

// tryText tries a text with every algorithm and every way to put the secret to it.
// It returns false where the search is over.
func (s *search) tryText(p place, t text, algorithms []string, effort int) bool {
	base := s.build(p, t)
	for _, name := range algorithms {
		a, err := algorithm.Named(name)
		if err != nil {
			continue
		}
		for _, form := range s.secretForms(a) {
			for _, changes := range s.changes(t, a, form, effort) {
				if s.ctx.Err() != nil {
					s.result.Over = true
					return false
				}
				rule := Rule{Kind: s.kind, Format: s.format, Place: p.name, Split: p.split, Algorithm: name, Encoding: p.encoding, Secret: form, Text: slices.Concat([][]string{t.builder}, t.steps, changes), Inner: t.inner, Key: s.serial(name), message: s.messages[0]}
				s.result.Tried++
				if s.possible(p, base, a, rule, changes) && s.fits(rule) {
					s.result.Fits = append(s.result.Fits, rule)
					if len(s.result.Fits) == maxFits {
						return false
					}
				}
			}
		}
	}
	return true
}

// fits reports whether every message verifies under a rule.
func (s *search) fits(r Rule) bool {
	program, err := recipe.Compile("guess", r.probe(), nil)
	if err != nil {
		return false // the language refuses such a rule
	}
	for _, m := range s.messages {
		copied := *m
		if copied.Kind == message.Request {
			copied.Kind = message.Notification
		}
		_, err := scheme.Open(program, scheme.Incoming{Message: &copied, Keys: s.set, Now: time.Now()})
		if err != nil && scheme.ReasonOf(err) != scheme.Ambiguous {
			return false
		}
	}
	return true
}

package diagnosis

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// maxSettings is how many options a variation changes at once.
const maxSettings = 2

// Variation is a way to read a message that is not the configured one. Each
// part that is set is one change.
type Variation struct {
	Settings []Setting // instead of those that configure the scheme
	Key      i18n.Text // a key in a role that is not its own
	GBK      bool      // the canonical string in GBK

	// Besides are options that the settings need: a plain digest of answers needs
	// {secret} in the text of requests as well. No answer shows how requests are
	// signed, so that they are guesses: a provider mostly signs both ways alike.
	Besides []Setting

	// By names the one of several keys that verified, or is zero.
	By i18n.Text

	set *keys.Set
}

// String returns what to change, in the language of the process.
func (v Variation) String() string { return v.In(i18n.Current()) }

// In returns what to change, in a language.
func (v Variation) In(l i18n.Language) string {
	var parts []string
	if len(v.Settings) > 0 {
		var settings []string
		for _, s := range slices.Concat(v.Settings, v.Besides) {
			settings = append(settings, s.String())
		}
		parts = append(parts, i18n.T("with: %s", strings.Join(settings, " ")).In(l))
	}
	for _, key := range []i18n.Text{v.Key, v.By} {
		if !key.IsZero() {
			parts = append(parts, i18n.T("with %s", key).In(l))
		}
	}
	if v.GBK {
		parts = append(parts, i18n.T("if the provider signs GBK (no option does that: ask it to sign UTF-8)").In(l))
	}
	return strings.Join(parts, ", ")
}

// size returns the number of changes.
func (v Variation) size() int {
	n := len(v.Settings)
	if !v.Key.IsZero() {
		n++
	}
	if v.GBK {
		n++
	}
	return n
}

// covers reports whether w makes every change of v, and perhaps more.
func (v Variation) covers(w Variation) bool {
	return (v.Key.IsZero() || v.Key.String() == w.Key.String()) && (!v.GBK || w.GBK) &&
		!slices.ContainsFunc(v.Settings, func(s Setting) bool { return !slices.Contains(w.Settings, s) })
}

// The bounds of one search, in bytes of messages that are opened: a hostile message
// must not keep a processor busy with every variation. What a message costs beside
// its size is counted as leastTried.
const (
	maxTried   = 16 << 20
	leastTried = 4 << 10
)

// WouldOpen tries the scheme's named variations on a message that did not open
// as configured, and returns those that would have: up to two options with
// another value, each key of the set in the place of those that verify, and
// the canonical string in GBK. Of variations it returns the smallest.
//
// With decrypted, a variation has to decrypt as well; without, a signature that
// verifies is enough. Untried are the reasons why some variations could not be
// tried on this message.
func WouldOpen(r Recipe, m *message.Message, set *keys.Set, at time.Time, decrypted bool) (found []Variation, untried []string) {
	settings := tries(r)
	left := maxTried
	for _, v := range variations(settings, set) {
		if slices.ContainsFunc(found, func(smaller Variation) bool { return smaller.covers(v) }) {
			continue
		}
		if left -= leastTried + len(m.Wire) + len(m.Query); left < 0 {
			return found, append(untried, i18n.Sprintf("the message is too large for all of them"))
		}
		s, err := v.configure(r)
		if err != nil {
			continue // two values that exclude each other
		}
		var charset func([]byte) []byte
		if v.GBK {
			charset = toGBK
		}
		opened, err := Open(s, m, v.set, at, charset)
		if !opens(opened, err, decrypted) {
			if scheme.ReasonOf(err) == scheme.Invalid && !slices.Contains(untried, err.Error()) {
				untried = append(untried, err.Error())
			}
			continue
		}
		if opened != nil && v.Key.IsZero() {
			v.By = which(v.set, opened.Fingerprints())
		}
		found = append(found, v)
	}
	return found, untried
}

// configure makes the scheme of a variation. Where its settings alone are refused, it
// adds those that they need besides.
func (v *Variation) configure(r Recipe) (scheme.Scheme, error) {
	s, err := r.Configure(v.Settings...)
	if err == nil {
		return s, nil
	}
	tried := providers.Tries(r.Scheme)
	for _, set := range v.Settings {
		at := slices.Index(tried[set.Option].Values, set.Value)
		for option, values := range tried[set.Option].Besides {
			if at >= 0 && at < len(values) && values[at] != "" {
				v.Besides = append(v.Besides, Setting{option, values[at]})
			}
		}
	}
	if len(v.Besides) == 0 {
		return nil, err
	}
	return r.Configure(slices.Concat(v.Settings, v.Besides)...)
}

func opens(opened *scheme.Verified, err error, decrypted bool) bool {
	if err == nil {
		return !opened.IsUnsigned() && (!decrypted || opened.Note().IsZero())
	}
	// These are found out after the signature has verified.
	switch scheme.ReasonOf(err) {
	case scheme.Decryption, scheme.Ambiguous, scheme.Mismatch:
		return !decrypted
	default:
		return false
	}
}

// variations returns all variations, the smallest first.
func variations(settings []Setting, set *keys.Set) []Variation {
	var all []Variation
	for _, settings := range combinations(settings) {
		for _, v := range append(displaced(set), Variation{set: set}) {
			for _, gbk := range []bool{false, true} {
				v.Settings, v.GBK = settings, gbk
				if v.size() > 0 {
					all = append(all, v)
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Variation) int { return cmp.Compare(a.size(), b.size()) })
	return all
}

// tries returns the values that the scheme's options name, and for those that take any
// text the values that the provider's folder names.
func tries(r Recipe) []Setting {
	options, err := r.Options()
	if err != nil {
		return nil
	}
	tried := providers.Tries(r.Scheme)
	var settings []Setting
	for _, o := range options {
		for _, value := range append(slices.Clone(o.Values), tried[o.Name].Values...) {
			settings = append(settings, Setting{o.Name, value})
		}
	}
	return settings
}

// combinations returns the sets of at most maxSettings settings of different
// options, the empty one among them.
func combinations(settings []Setting) [][]Setting {
	out := [][]Setting{nil}
	from := 0
	for range maxSettings {
		to := len(out)
		for _, base := range out[from:to] {
			start := 0
			if len(base) > 0 {
				start = slices.Index(settings, base[len(base)-1]) + 1
			}
			for _, s := range settings[start:] {
				if !slices.ContainsFunc(base, func(b Setting) bool { return b.Option == s.Option }) {
					out = append(out, append(slices.Clone(base), s))
				}
			}
		}
		from = to
	}
	return out
}

// displaced returns the set's other keys, each in the place of those that verify:
// keys are easily put into each other's files.
func displaced(set *keys.Set) []Variation {
	var out []Variation
	public := func(what i18n.Text, key *keys.PublicKey) {
		if slices.ContainsFunc(set.Verify, func(k *keys.PublicKey) bool { return k.Fingerprint == key.Fingerprint }) {
			return
		}
		alone := *set
		alone.Verify = []*keys.PublicKey{key}
		out = append(out, Variation{Key: i18n.T("%s (%s) as verify", what, key.Fingerprint), set: &alone})
	}
	own := func(what i18n.Text, key *keys.PrivateKey) {
		if key.Public != nil {
			public(what, keys.NewPublicKey(key.Public, key.Origin))
		}
	}
	if set.Encrypt != nil {
		public(i18n.T("the key of encrypt"), set.Encrypt)
	}
	if set.Sign != nil {
		own(i18n.T("your own sign key"), set.Sign)
	}
	for _, key := range set.Decrypt {
		own(i18n.T("your own decrypt key"), key)
	}
	for _, secret := range set.VerifySecrets {
		if trimmed := bytes.TrimSpace(secret.Bytes()); len(trimmed) < len(secret.Bytes()) && len(trimmed) > 0 {
			alone := *set
			alone.Secret = keys.NewSecret(trimmed, secret.Origin)
			alone.VerifySecrets = []*keys.Secret{alone.Secret}
			out = append(out, Variation{Key: i18n.T("the secret %s without the white space at its ends", secret.Fingerprint), set: &alone})
		}
	}
	return out
}

// which says which of several keys verified.
func which(set *keys.Set, fingerprints []string) i18n.Text {
	for i, key := range set.Verify {
		if len(set.Verify) > 1 && slices.Contains(fingerprints, key.Fingerprint) {
			return i18n.T("key %d of verify (%s)", i+1, key.Fingerprint)
		}
	}
	for _, secret := range set.VerifySecrets {
		if len(set.VerifySecrets) > 1 && slices.Contains(fingerprints, secret.Fingerprint) {
			return i18n.T("the secret %s", secret.Fingerprint)
		}
	}
	return i18n.Text{}
}

// toGBK returns a text as a provider sees it that works in GBK.
func toGBK(text []byte) []byte {
	out, err := encoding.ReplaceUnsupported(simplifiedchinese.GBK.NewEncoder()).Bytes(text)
	if err != nil {
		return text
	}
	return out
}

// Package diagnosis finds why the signature of an incoming message does not verify, and
// says it in one sentence. The sentence goes into a log, so it names keys' roles and
// algorithms, and never a value, a key or a signature.
//
// It does not decide whether a message is genuine.
package diagnosis

import (
	"regexp"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The bounds of one diagnosis: forged messages must not keep a processor busy. They
// bound work and not time, so that the same message always gives the same sentence.
const (
	maxWork   = 1 << 20  // in bytes that are digested
	publicKey = 16 << 10 // what an operation with a public key counts as
	maxVaried = 64 << 10 // of a text whose variants are tried, in bytes
	maxValue  = 16 << 10 // of a signature's text, in bytes

	perSecond = 10 // sentences for a log
)

// Sentence returns why a message was not opened; err is the error of scheme.Open. It
// returns the zero Text if the error is not about the signature or the cause is not
// found. The sentence names members of the message, and so must be shown only to people
// who have the message.
func Sentence(s scheme.Scheme, in scheme.Incoming, err error) i18n.Text {
	return sentence(s, in, err, true)
}

// Log makes at most perSecond sentences a second for a log, which bounds the cost of a
// flood of forged messages.
type Log struct {
	limit *rate.Limiter
}

// NewLog returns a Log. Each handler has its own, so that forged notifications do not
// use up the sentences of payments.
func NewLog() *Log { return &Log{rate.NewLimiter(perSecond, perSecond)} }

// Sentence returns what the function Sentence does, and the zero Text beyond the limit.
// It does not name an unsigned member, because the sender of a forged message chooses
// its name.
func (l *Log) Sentence(s scheme.Scheme, in scheme.Incoming, err error) i18n.Text {
	if scheme.ReasonOf(err) != scheme.BadSignature || !l.limit.Allow() {
		return i18n.Text{}
	}
	return sentence(s, in, err, false)
}

// Field returns the field of a log entry with a sentence, or zap.Skip for the zero
// Text.
func Field(sentence i18n.Text) zap.Field {
	if sentence.IsZero() {
		return zap.Skip()
	}
	return zap.Stringer("diagnosis", sentence)
}

func sentence(s scheme.Scheme, in scheme.Incoming, err error, names bool) i18n.Text {
	if scheme.ReasonOf(err) != scheme.BadSignature || in.Message == nil || in.Keys == nil {
		return i18n.Text{}
	}
	in.Message = in.Message.Fresh()
	signatures, err := s.Covers(&in)
	if err != nil {
		return i18n.Text{}
	}
	left := budget(maxWork)
	for _, signature := range signatures {
		d := &examination{in: &in, signature: signature, budget: &left, names: names}
		if text := d.examineAll(); !text.IsZero() {
			return text
		}
	}
	return i18n.Text{}
}

// budget is the work that is left, in bytes that are digested.
type budget int

// spend reports whether a text of n bytes may still be digested.
func (b *budget) spend(n int) bool {
	*b -= budget(n)
	return !b.over()
}

func (b *budget) over() bool { return *b <= 0 }

// examination is that of one signature.
type examination struct {
	in        *scheme.Incoming
	signature scheme.Signature
	budget    *budget
	names     bool // members that are not signed may be named
}

// examineAll examines each value of the signature, of which one must verify.
func (d *examination) examineAll() i18n.Text {
	var found i18n.Text
	for _, value := range d.signature.Values {
		if value == "" {
			continue
		}
		if !d.budget.spend(len(value)) {
			break
		}
		text := d.examine(value)
		if text.IsZero() {
			return i18n.Text{} // it verifies, or nothing can be said
		}
		if found.IsZero() {
			found = text
		}
	}
	return found
}

func (d *examination) examine(value string) i18n.Text {
	if len(value) > maxValue {
		return i18n.T("the signature is longer than any")
	}
	raw, err := d.signature.Encoding.Decode([]byte(value))
	if err != nil || len(raw) == 0 {
		return d.malformed(value)
	}
	if words := d.otherEncoding(value); !words.IsZero() {
		return words
	}
	if !d.isHex() && !knownSizes[len(raw)] {
		if words := d.tooShort(value); !words.IsZero() {
			return words
		}
	}
	switch {
	case d.signature.Certificate != nil:
		return i18n.Text{}
	case d.signature.Algorithm.Kind() != algorithm.Public:
		return d.examineSum(raw)
	case d.signature.Algorithm.KeyKind() == keys.KindRSA:
		return d.examineRSA(raw)
	}
	return d.examinePublic(raw)
}

// verifies reports whether a signature is that of the text as the recipe makes it.
func (d *examination) verifies(raw []byte) bool {
	s := d.signature
	if s.Algorithm.Kind() != algorithm.Public {
		_, ok := d.sumOf(raw, variant{text: s.Text.Canonical})
		return ok
	}
	return slices.ContainsFunc(d.in.Keys.VerifyKeys(s.Key), func(k *keys.PublicKey) bool {
		return d.budget.spend(publicKey) && s.Algorithm.Verify(k.Key, s.Text.Canonical, raw, s.Options)
	})
}

// knownSizes are the sizes in bytes of the signatures of all algorithms: a signature
// of such a size was made by another algorithm or key, and is not truncated.
var knownSizes = map[int]bool{16: true, 20: true, 32: true, 48: true, 64: true, 128: true, 256: true, 384: true, 512: true}

// plainName matches a member's name without digits, which could be a number of a
// person.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z_.-]{0,31}$`)

// member returns the name of a member if it may be shown, or else words.
func (d *examination) member(name string, words i18n.Text) i18n.Text {
	if d.names && name != "" {
		return i18n.T("the member %s", body.ShowName(name))
	}
	return words
}

// signedMember returns a member that the provider has signed.
func (d *examination) signedMember(name string) i18n.Text {
	if plainName.MatchString(name) {
		return i18n.T("the member %s", name)
	}
	return d.member(name, i18n.T("one of its members"))
}

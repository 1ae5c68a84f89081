package diagnosis

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/i18n"
)

var hexText = regexp.MustCompile(`^(?:[0-9a-fA-F]{2})+$`)

// malformed returns what is wrong with the text of a signature that does not decode.
func (d *examination) malformed(value string) i18n.Text {
	text, found := value, []i18n.Text(nil)
	for range maxRepairs {
		if d.decodes(text) {
			break
		}
		next, words := d.repair(text)
		if words.IsZero() {
			break
		}
		text, found = next, append(found, words)
	}
	switch other := d.otherAlphabet(text); {
	case d.decodes(text):
		if words := d.otherEncoding(text); !words.IsZero() {
			found = append(found, words)
		} else {
			found = append(found, d.otherwise(text))
		}
	case !other.IsZero():
		found = append(found, other)
	default:
		if words := d.oneCase(text); !words.IsZero() {
			found = append(found, words)
		} else if words := d.tooShort(text); !words.IsZero() {
			found = append(found, words)
		} else if words := foreign(text); !words.IsZero() && len(found) == 0 {
			found = append(found, i18n.T("the signature is not %s, which the recipe expects%s", d.signature.Encoding.Name(), words))
		}
	}
	if len(found) == 0 {
		return i18n.T("the signature is not %s, which the recipe expects", d.signature.Encoding.Name())
	}
	return joined(found)
}

// joined makes one sentence of what was found.
func joined(found []i18n.Text) i18n.Text {
	var out i18n.Text
	for _, t := range found {
		switch {
		case t.IsZero():
		case out.IsZero():
			out = t
		case strings.HasPrefix(t.In(i18n.English), ";"):
			out = i18n.Join(out, t)
		default:
			out = i18n.T("%s, and %s", out, t)
		}
	}
	return out
}

func (d *examination) decodes(text string) bool {
	raw, err := d.signature.Encoding.Decode([]byte(text))
	return err == nil && len(raw) > 0
}

// otherwise returns a sentence that says whether the signature verifies after its text
// was repaired.
func (d *examination) otherwise(text string) i18n.Text {
	raw, err := d.signature.Encoding.Decode([]byte(text))
	if err != nil || len(raw) == 0 {
		return i18n.Text{}
	}
	return d.right(raw)
}

// right returns a sentence that says whether a repaired signature verifies.
func (d *examination) right(raw []byte) i18n.Text {
	if d.signature.Certificate != nil || !d.budget.spend(len(d.signature.Text.Canonical)) || !d.verifies(raw) {
		return i18n.Text{}
	}
	return i18n.T("; apart from that it is right")
}

func (d *examination) isHex() bool { return strings.HasPrefix(d.signature.Encoding.Name(), "hex") }

// otherAlphabet finds Base64 where hexadecimal is expected.
func (d *examination) otherAlphabet(text string) i18n.Text {
	if !d.isHex() {
		return i18n.Text{}
	}
	words := i18n.T("the signature is not hexadecimal, which the recipe expects; it may be Base64")
	if strings.Trim(text, "0123456789abcdefABCDEF") == "" {
		return i18n.T("the signature is hexadecimal with an odd number of digits: one was lost or added")
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return words
	}
	if under, how := again(raw); how != nil {
		return i18n.Join(i18n.T("the signature is encoded twice: under the %s there is %s", "Base64", how), d.right(under))
	}
	return i18n.Join(words, d.right(raw))
}

// otherEncoding finds a text that decodes, but was written in another way than it is
// read: 64 hexadecimal digits are Base64 as well.
func (d *examination) otherEncoding(value string) i18n.Text {
	name := d.signature.Encoding.Name()
	raw, err := d.signature.Encoding.Decode([]byte(value))
	if err != nil {
		return i18n.Text{}
	}
	if !d.isHex() && len(value) >= 32 && hexText.MatchString(value) {
		under, err := hex.DecodeString(value)
		if err != nil {
			return i18n.Text{}
		}
		return i18n.Join(i18n.T("the signature is hexadecimal, and the recipe expects %s", name), d.right(under))
	}
	if under, how := again(raw); how != nil && !slices.Contains(d.sizes(), len(raw)) {
		return i18n.Join(i18n.T("the signature is encoded twice: under the %s there is %s", name, how), d.right(under))
	}
	return d.oneCase(value)
}

// oneCase finds Base64 of which every letter was changed.
func (d *examination) oneCase(value string) i18n.Text {
	if d.isHex() || len(value) < 40 || strings.Trim(value, alphabet) != "" {
		return i18n.Text{}
	}
	switch value {
	case strings.ToLower(value):
		return i18n.T("the signature has no upper-case letter: it was changed to lower case, and Base64 tells them apart")
	case strings.ToUpper(value):
		return i18n.T("the signature has no lower-case letter: it was changed to upper case, and Base64 tells them apart")
	}
	return i18n.Text{}
}

// again finds the text of a signature in the decoded bytes: the signature was encoded
// twice.
func again(raw []byte) (under []byte, how any) {
	text := strings.TrimSpace(string(raw))
	if len(text) < 24 {
		return nil, nil
	}
	if hexText.MatchString(text) {
		under, err := hex.DecodeString(text)
		if err != nil {
			return nil, nil
		}
		return under, i18n.T("hexadecimal")
	}
	under, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, nil
	}
	return under, "Base64"
}

// sizes returns the possible lengths of a signature in bytes, or nil if they are not known.
func (d *examination) sizes() []int {
	var out []int
	s := d.signature
	if s.Certificate != nil {
		return nil
	}
	if s.Algorithm.Kind() != algorithm.Public {
		return []int{len(s.Algorithm.Sum([]byte("k"), nil))}
	}
	for _, key := range d.in.Keys.VerifyKeys(s.Key) {
		if key.RSA == nil {
			return nil
		}
		out = append(out, key.RSA.Size())
	}
	return out
}

// short is by how many characters a text is shorter than a signature of the smallest
// key, or 0.
func (d *examination) short(text string) int {
	sizes := d.sizes()
	if len(sizes) == 0 {
		return 0
	}
	length := (slices.Min(sizes)*8 + 5) / 6
	if d.isHex() {
		length = slices.Min(sizes) * 2
	}
	return max(0, length-len(strings.TrimRight(text, "=")))
}

// tooShort says why characters may be missing. That a signature of RSA has no + in it
// by chance is rare.
func (d *examination) tooShort(text string) i18n.Text {
	missing := d.short(text)
	switch {
	case missing == 0 || strings.Trim(text, alphabet) != "":
		return i18n.Text{}
	case d.isHex():
		return i18n.T("the signature is %d characters too short: it was cut off", missing)
	case missing == 1 && d.names:
		if with := d.inserted(text); !with.IsZero() {
			return with
		}
	}
	if strings.Contains(text, "+") || missing > 24 {
		return i18n.T("the signature is %d characters too short: it was cut off, or a + in it was lost", missing)
	}
	return i18n.T("the signature is %d characters too short and has no + in it: each + was lost on the way, as where it becomes a blank in a form and blanks are removed", missing)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="

// inserted tries each place at which one + can have been lost.
func (d *examination) inserted(text string) i18n.Text {
	compact := strings.TrimRight(text, "=")
	all := budget(2 * len(compact) * (publicKey + len(d.signature.Text.Canonical)))
	other := *d
	other.budget = &all
	for i := range len(compact) + 1 {
		raw, err := base64.RawStdEncoding.DecodeString(compact[:i] + "+" + compact[i:])
		if err == nil && other.verifies(raw) {
			return i18n.T("the signature has lost a +, which was not escaped as %%2B; apart from that it is right")
		}
	}
	return i18n.Text{}
}

func padded(text string) string { return text + strings.Repeat("=", (4-len(text)%4)%4) }

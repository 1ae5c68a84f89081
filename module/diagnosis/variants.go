package diagnosis

import (
	"bytes"
	"iter"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/algorithm"
	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// variant is a text that the provider may have signed instead of ours.
type variant struct {
	text  []byte
	words i18n.Text // how it differs; none for ours
}

const (
	maxPieces  = 100  // that are left out or added one by one
	maxMembers = 1000 // of a message that are looked at
)

// variants returns our text, and then the variants of it by which providers differ from
// their documentation, until the budget is used up.
func (d *examination) variants() iter.Seq[variant] {
	return func(yield func(variant) bool) {
		text := d.signature.Text.Canonical
		next := func(t []byte, words i18n.Text) bool {
			return d.budget.spend(len(t)) && yield(variant{t, words})
		}
		if !next(text, i18n.Text{}) || len(text) > maxVaried {
			return
		}
		for v := range whole(text) {
			if !next(v.text, v.words) {
				return
			}
		}
		pieces := strings.SplitN(string(text), "&", maxPieces+2)
		if len(pieces) <= maxPieces && strings.Contains(pieces[0], "=") {
			for v := range d.rearranged(pieces) {
				if !next([]byte(v.text), v.words) {
					return
				}
			}
		}
		for v := range d.unusual(text) {
			if !next(v.text, v.words) {
				return
			}
		}
	}
}

// whole returns the variants of a text of any kind.
func whole(text []byte) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		if gbk, err := encoding.ReplaceUnsupported(simplifiedchinese.GBK.NewEncoder()).Bytes(text); err == nil && !bytes.Equal(gbk, text) {
			if !yield(variant{gbk, i18n.T("in GBK")}) {
				return
			}
		}
		for _, end := range []struct {
			text string
			name i18n.Text
		}{{"&", i18n.T("an &")}, {"\n", i18n.T("a line feed")}} {
			v := variant{append(bytes.Clone(text), end.text...), i18n.T("with %s at its end", end.name)}
			if cut, ok := bytes.CutSuffix(text, []byte(end.text)); ok {
				v = variant{cut, i18n.T("without %s at its end", end.name)}
			}
			if !yield(v) {
				return
			}
		}
		if decoded, err := url.QueryUnescape(string(text)); err == nil && decoded != string(text) && !yield(variant{[]byte(decoded), i18n.T("URL-decoded")}) {
			return
		}
		if escaped := url.QueryEscape(string(text)); escaped != string(text) {
			yield(variant{[]byte(escaped), i18n.T("URL-encoded as a whole")})
		}
	}
}

// textVariant is a variant of joined pieces.
type textVariant struct {
	text  string
	words i18n.Text
}

// rearranged returns the variants of name=value pieces that are joined with &.
func (d *examination) rearranged(pieces []string) iter.Seq[textVariant] {
	return func(yield func(textVariant) bool) {
		end := ""
		if pieces[len(pieces)-1] == "" {
			pieces, end = pieces[:len(pieces)-1], "&"
		}
		next := func(pieces []string, words i18n.Text) bool {
			return yield(textVariant{strings.Join(pieces, "&") + end, words})
		}
		escaped, nonEmpty := make([]string, len(pieces)), make([]string, 0, len(pieces))
		for i, p := range pieces {
			name, value, ok := strings.Cut(p, "=")
			if escaped[i] = p; ok {
				escaped[i] = name + "=" + url.QueryEscape(value)
			}
			if value != "" || !ok {
				nonEmpty = append(nonEmpty, p)
			}
		}
		if !next(escaped, i18n.T("with URL-encoded values")) || len(nonEmpty) < len(pieces) && !next(nonEmpty, i18n.T("without empty members")) {
			return
		}
		added := d.leftOut(pieces)
		for _, order := range d.orders() {
			if !next(order.arrange(pieces), order.words) {
				return
			}
		}
		for i, p := range pieces {
			name, _, ok := strings.Cut(p, "=")
			if !ok {
				name = "" // it is the rest of a value
			}
			if !next(slices.Delete(slices.Clone(pieces), i, i+1), i18n.T("without %s", d.member(name, i18n.T("part %d of %d", i+1, len(pieces))))) {
				return
			}
		}
		var empty []string
		for _, p := range added {
			if strings.HasSuffix(p, "=") {
				empty = append(empty, p)
			}
			name, _, _ := strings.Cut(p, "=")
			if !next(inserted(pieces, p), i18n.T("with %s, which the recipe leaves out", d.signedMember(name))) {
				return
			}
		}
		if len(empty) > 1 && !next(inserted(pieces, empty...), i18n.T("with its empty members")) {
			return
		}
		if len(added) > 1 && !next(inserted(pieces, added...), i18n.T("with every member but the signature")) {
			return
		}
		if nulls := d.nulls(pieces); len(nulls) > 0 && !next(inserted(pieces, nulls...), i18n.T("with null for members that are null")) {
			return
		}
		for v := range joinedOtherwise(pieces, end) {
			if !yield(v) {
				return
			}
		}
		own := d.signature.Where[strings.LastIndexByte(d.signature.Where, '.')+1:] + "="
		if !next(inserted(pieces, own), i18n.T("with its own signature as an empty member")) || !next(slices.Concat(pieces, []string{own}), i18n.T("with its own signature as an empty member")) {
			return
		}
		for i := 1; i < len(pieces); i++ {
			swapped := slices.Clone(pieces)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			if !next(swapped, i18n.T("with part %d of %d before the one in front of it", i+1, len(pieces))) {
				return
			}
		}
	}
}

// leftOut returns the members beside those that are signed, as pieces, without the
// signature itself.
func (d *examination) leftOut(pieces []string) []string {
	var out []string
	for _, m := range d.members() {
		name := string(m.Name())
		if len(out) == maxPieces || strings.HasSuffix("."+d.signature.Where, "."+name) || slices.ContainsFunc(pieces, func(p string) bool { return strings.HasPrefix(p, name+"=") }) {
			continue
		}
		value := string(m.Text())
		if m.IsNull() {
			value = ""
		}
		out = append(out, name+"="+value)
	}
	return out
}

// nulls returns the members that are null, as Java writes them.
func (d *examination) nulls(pieces []string) []string {
	var out []string
	for _, m := range d.members() {
		name := string(m.Name())
		if m.IsNull() && len(out) < maxPieces && !slices.ContainsFunc(pieces, func(p string) bool { return strings.HasPrefix(p, name+"=") }) {
			out = append(out, name+"=null")
		}
	}
	return out
}

// members returns those of the object that is signed.
func (d *examination) members() []body.Member {
	tree := d.in.Message.Payload
	if path, err := body.ParsePath(d.signature.Part); tree != nil && err == nil && d.signature.Part != "*" && !strings.Contains(d.signature.Part, ",") {
		if at := tree.At(path); at != nil && !at.IsList() {
			tree = at
		}
	}
	if tree == nil || tree.IsList() {
		return nil
	}
	members := tree.Members()
	return members[:min(len(members), maxMembers)]
}

// order is another order of the same pieces.
type order struct {
	words   i18n.Text
	arrange func(pieces []string) []string
}

func (d *examination) orders() []order {
	sorted := func(compare func(a, b string) int) func([]string) []string {
		return func(pieces []string) []string { return slices.SortedStableFunc(slices.Values(pieces), compare) }
	}
	position := make(map[string]int)
	for i, m := range d.members() {
		position[string(m.Name())] = i
	}
	at := func(piece string) int {
		name, _, _ := strings.Cut(piece, "=")
		return position[name]
	}
	return []order{
		{i18n.T("in the order in which its members came"), sorted(func(a, b string) int { return at(a) - at(b) })},
		{i18n.T("sorted without regard to case"), sorted(func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })},
		{i18n.T("sorted by bytes, upper case first"), sorted(strings.Compare)},
	}
}

// inserted returns a sorted list of pieces with further ones.
func inserted(pieces []string, more ...string) []string {
	all := slices.Concat(pieces, more)
	slices.SortStableFunc(all, func(a, b string) int {
		x, _, _ := strings.Cut(a, "=")
		y, _, _ := strings.Cut(b, "=")
		return strings.Compare(x, y)
	})
	return all
}

// sumOf reports whether a digest or MAC is that of a variant, and names the secret if
// it is not the recipe's.
func (d *examination) sumOf(raw []byte, v variant) (words i18n.Text, ok bool) {
	s := d.signature
	for _, secret := range d.in.Keys.Secrets(s.Key) {
		for _, trim := range []bool{false, true} {
			with := secret
			if trim {
				cut := bytes.TrimSpace(secret.Bytes())
				if len(cut) == len(secret.Bytes()) {
					break
				}
				with, words = keys.NewSecret(cut, secret.Origin), i18n.T("the secret without the white space at its ends")
			}
			text, known := d.with(v.text, with)
			if !known {
				return i18n.Text{}, false
			}
			key := with.Bytes()
			if s.Derive != nil {
				derived, err := s.Derive(key)
				if err != nil {
					continue
				}
				key = derived
			}
			if s.Algorithm.Kind() == algorithm.Digest {
				key = nil
			}
			if s.Algorithm.VerifySum(key, text, raw) {
				return words, true
			}
			words = i18n.Text{}
		}
	}
	return i18n.Text{}, false
}

// with returns a variant of the canonical string with the secret where the recipe puts
// it: behind the string. Elsewhere only the text as it is can be made.
func (d *examination) with(text []byte, secret *keys.Secret) ([]byte, bool) {
	s := d.signature
	if s.Text.With == nil {
		return text, true
	}
	secrets := func(name string) *keys.Secret {
		if name == "" {
			return secret
		}
		return d.in.Keys.NamedSecret(name)
	}
	made, tail, err := s.Text.With(secrets)
	if err != nil {
		return nil, false
	}
	made = slices.Concat(made, tail)
	if bytes.Equal(text, s.Text.Canonical) {
		return made, true
	}
	end, ok := bytes.CutPrefix(made, s.Text.Canonical)
	return slices.Concat(text, end), ok
}

package guess

import (
	mathbits "math/bits"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
)

// How thorough a pass over the candidates is: first the plain ones, and the rest
// only where none of them fits.
const (
	plain = iota
	thorough
)

// text is what a text begins with: a builder, or a template.
type text struct {
	builder []string
	sorted  bool
	steps   [][]string // behind the builder, before the secret is put to it
	inner   [][]string // what {text.inner} in the builder stands for
	between string     // what stands between bare values
	escaped bool       // each value is percent-encoded already
	keyed   bool       // the builder has the secret among the members
}

// texts returns the texts that a signature at a place may cover.
func (s *search) texts(p place, effort int) []text {
	var all []text
	add := func(isSorted bool, words ...string) { all = append(all, text{builder: words, sorted: isSorted}) }
	for _, part := range s.parts() {
		for _, words := range s.sorted(p, part, effort) {
			add(true, words...)
		}
		if effort == thorough {
			all = append(all, s.unusual(p, part)...)
		}
	}
	if p.member == "" {
		for _, t := range s.templates(p, effort) {
			add(false, t)
		}
		if effort == thorough {
			for _, t := range s.between(p) {
				add(false, t)
			}
			all = append(all, s.digests(p)...)
			if s.format == message.JSON && s.messages[0].Payload != nil {
				add(false, "json", "body")
				add(false, "json", "body", "sorted")
				add(false, "json", "body", "deep")
			}
		}
	}
	if own, ok := strings.CutPrefix(p.name, "query."); ok && effort == thorough {
		for _, join := range [][]string{nil, {"after", "&"}, {"pair", "", "join", ""}} {
			words := slices.Concat([]string{"sorted", "query", "except", own}, join)
			all = append(all, text{builder: words, sorted: true, steps: [][]string{{"append", "{body}"}}},
				text{builder: words, sorted: true, steps: [][]string{{"append", "&{body}"}}}, text{builder: words, sorted: true, steps: [][]string{{"prepend", "{body}"}}})
		}
	}
	for _, part := range s.parts()[1:] {
		for _, m := range s.members(part) {
			own := []string{"raw", part + "." + dotted(string(m.Name()))}
			if !m.IsScalar() && strings.HasPrefix(p.name, part+".") && !slices.ContainsFunc(all, func(t text) bool { return slices.Equal(t.builder, own) }) {
				add(false, own...)
			}
		}
		add(false, "raw", part)
		add(false, "json", part)
		add(false, "json", part, "sorted")
		add(false, "json", part, "deep")
	}
	if s.format == message.JSON && p.member != "" {
		for _, order := range [][]string{nil, {"sorted"}, {"deep"}} {
			add(false, slices.Concat([]string{"json", "body"}, order, []string{"except", p.member})...)
		}
	}
	for _, t := range s.memberTemplates(p, effort) {
		all = append(all, text{builder: []string{t[0]}, between: t[1]})
	}
	all = append(all, s.values(p, effort)...)
	if effort == thorough {
		all = append(all, s.someMembers(p)...)
	}
	return all
}

// mostListed is the number of members up to which every selection of them is tried; of
// more, those that leave out or name a small number.
const mostListed = 12

// someMembers returns the texts of some members beside the signature, others of which are
// not signed: their values as they stand in the message, and their pairs in order.
func (s *search) someMembers(p place) (all []text) {
	if p.member == "" {
		return nil
	}
	names := s.namesInOrder(p, "body")
	if len(names) > 20 {
		return nil
	}
	empty := make(map[string]bool)
	for _, m := range s.members("body") {
		empty[string(m.Name())] = empty[string(m.Name())] || m.IsEmpty()
	}
	for bits := range 1 << len(names) {
		size := mathbits.OnesCount(uint(bits))
		if size < 2 || size == len(names) || len(names) > mostListed && size > 3 && len(names)-size > 3 {
			continue
		}
		var some, keep []string
		for i, name := range names {
			if bits&(1<<i) != 0 {
				some = append(some, name)
				if empty[name] {
					keep = []string{"empty", "keep"}
				}
			}
		}
		if slices.ContainsFunc(some, isWord) { // a list of names ends at a word of the builder
			continue
		}
		all = append(all, text{builder: slices.Concat([]string{"sorted", "body", "only"}, some, keep), sorted: true, escaped: true})
		for _, join := range []string{"", "|", ":", ",", "&", ".", ";"} {
			all = append(all, text{builder: slices.Concat([]string{"values"}, some, []string{"of", "body", "join", join}, keep), between: join, escaped: true})
		}
	}
	return all
}

// digests returns the templates with a digest of the body in its place.
func (s *search) digests(p place) (all []text) {
	for _, t := range slices.Concat(s.templates(p, plain), s.between(p), s.typed()) {
		if !strings.Contains(t, "{body}") || t == "{body}" {
			continue
		}
		for _, digest := range [][]string{{"sha256", "hex"}, {"md5", "hex"}, {"sha256", "base64"}, {"md5", "base64"}, {"sha1", "hex"}, {"sha512", "hex"}, {"sha256", "hex-upper"}, {"md5", "hex-upper"}} {
			all = append(all, text{builder: []string{strings.Replace(t, "{body}", "{text.inner}", 1)}, inner: [][]string{{"{body}"}, digest}})
		}
	}
	return all
}

// unusual returns the texts of sorted members that few providers have: members as they
// stand in the message, percent-encoded values, and the secret among the members.
func (s *search) unusual(p place, part string) (all []text) {
	for _, words := range s.sorted(p, part, plain) {
		if slices.Contains(words, "order") || slices.Contains(words, "flat") || slices.Contains(words, "recurse") || slices.Contains(words, "plain") {
			continue
		}
		usual := !slices.Contains(words, "join") && !slices.Contains(words, "after")
		if usual && s.messages[0].Path != "" {
			all = append(all, text{builder: words, sorted: true, escaped: true, steps: [][]string{{"prepend", "{path}?"}}})
		}
		for _, order := range [][]string{nil, {"order", "message"}} {
			ordered := slices.Concat(words, order)
			if order != nil {
				all = append(all, text{builder: ordered, sorted: true})
			}
			for _, mode := range []string{"form", "rfc3986", "java", "dotnet"} {
				if usual {
					all = append(all, text{builder: slices.Concat(ordered, []string{"escape", mode}), sorted: true, escaped: true})
				}
			}
		}
		if !usual || len(s.secret("")) == 0 {
			continue
		}
		for _, name := range []string{"key", "secret", "token", "appkey", "app_key", "appKey", "appSecret", "app_secret", "secretKey", "secret_key", "apiKey", "api_key", "merchantKey"} {
			all = append(all, text{builder: slices.Concat(words, []string{"with", name, "{secret}"}), sorted: true, escaped: true, keyed: true})
		}
		for _, names := range [][]string{nil, {"order", "name-fold"}, {"order", "name-fold", "names", "upper"}} {
			all = append(all, text{builder: slices.Concat(words, names, []string{"after", "{secret}"}), sorted: true, escaped: true, keyed: true})
		}
	}
	return all
}

// values returns the texts of values without their names. The frequent ones,
// with nothing between the values, belong to the first pass.
func (s *search) values(p place, effort int) (all []text) {
	kinds, joins := []string{"sorted"}, []string{""}
	if effort == thorough {
		kinds, joins = []string{"sorted", "by-value"}, []string{"", "&", "|", ",", "+", ":", ";", "-", ".", "/", "~", "^", "#", "*", " ", `\n`}
	}
	for _, part := range s.parts() {
		nests := [][]string{nil}
		if slices.ContainsFunc(s.members(part), func(m body.Member) bool { return !m.IsScalar() && !m.IsEmpty() }) {
			nests = [][]string{{"nested", "json"}, {"nested", "skip"}}
		}
		for _, join := range joins {
			names := s.namesInOrder(p, part)
			switch {
			case effort != thorough || len(names) == 0:
			case slices.ContainsFunc(names, isWord): // a list of names ends at a word of the builder
				for i, name := range names {
					names[i] = "{" + part + "." + dotted(name) + "}"
				}
				all = append(all, text{builder: []string{strings.Join(names, join)}, between: join})
			default:
				words := slices.Concat([]string{"values"}, names, []string{"of", part, "join", join})
				all = append(all, text{builder: words, between: join}, text{builder: append(slices.Clip(words), "empty", "keep"), between: join})
			}
		}
		for _, kind := range kinds {
			for _, join := range joins {
				for _, nested := range nests {
					words := slices.Concat([]string{"values", kind, "of", part, "join", join}, nested)
					if part == "body" && p.member != "" { // the signature is not among them
						words = append(words, "except", p.member)
					}
					all = append(all, text{builder: words, between: join})
					if effort != thorough {
						continue
					}
					all = append(all, text{builder: append(slices.Clip(words), "empty", "keep"), between: join})
					if kind == "sorted" && slices.ContainsFunc(s.members(part), mixedCase) {
						words = append(slices.Clip(words), "order", "name-fold")
						all = append(all, text{builder: words, between: join}, text{builder: append(slices.Clip(words), "empty", "keep"), between: join})
					}
				}
			}
		}
	}
	return all
}

// namesInOrder returns the members of a part as they stand in the first message, without
// the signature and what is said of it.
func (s *search) namesInOrder(p place, part string) (names []string) {
	tree := s.messages[0].Payload
	if tree == nil {
		return nil
	}
	if name, ok := strings.CutPrefix(part, "body."); ok {
		tree = tree.At(body.Path{strings.ReplaceAll(name, `\.`, ".")})
	}
	for _, m := range tree.Members() {
		if name := string(m.Name()); m.IsScalar() && !(part == "body" && name == p.member) && !labelName.MatchString(name) && isToken.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// isWord reports whether a name is a word of values too.
func isWord(name string) bool {
	return slices.Contains([]string{"sorted", "by-value", "names", "of", "except", "only", "empty", "nested", "null", "booleans", "trim", "order", "pair", "join", "after", "lists", "elements", "numbers", "escape", "lengths", "with"}, name)
}

// mixedCase reports whether a member's name has capitals, which are sorted in two ways.
func mixedCase(m body.Member) bool {
	return strings.ToLower(string(m.Name())) != string(m.Name())
}

// parts returns the body and each object in it, in the first message.
func (s *search) parts() []string {
	parts := []string{"body"}
	if m := s.messages[0]; m.Payload != nil {
		for _, member := range m.Payload.Members() {
			name := string(member.Name())
			if inner := m.Payload.At(body.Path{name}); inner != nil && !inner.IsList() {
				parts = append(parts, "body."+dotted(name))
			}
		}
	}
	return parts
}

// members returns those of a part in all messages.
func (s *search) members(part string) []body.Member {
	var all []body.Member
	for _, m := range s.messages {
		if m.Payload == nil {
			continue
		}
		tree := m.Payload
		if name, ok := strings.CutPrefix(part, "body."); ok {
			path, err := body.ParsePath(name)
			if err != nil {
				continue
			}
			if tree = tree.At(path); tree == nil || tree.IsList() {
				continue
			}
		}
		all = append(all, tree.Members()...)
	}
	return all
}

// sorted returns the builders that sort the members of a part. Variants that make no
// difference for these messages are left out.
func (s *search) sorted(p place, part string, effort int) [][]string {
	members := s.members(part)
	if len(members) == 0 {
		return nil
	}
	var hasEmpty, hasNested, mixed bool
	var labels []string
	for _, m := range members {
		name := string(m.Name())
		hasEmpty = hasEmpty || m.IsEmpty()
		hasNested = hasNested || !m.IsScalar() && !m.IsEmpty()
		mixed = mixed || mixedCase(m)
		if labelName.MatchString(name) && name != p.member && !slices.Contains(labels, name) {
			labels = append(labels, name)
		}
	}
	nothing := [][]string{nil}
	excepts := nothing
	if own := strings.TrimPrefix(p.name, part+"."); own != p.name && !strings.Contains(strings.ReplaceAll(own, `\.`, ""), ".") {
		excepts = [][]string{{"except", strings.ReplaceAll(own, `\.`, ".")}}
	}
	if len(labels) > 0 {
		with := slices.Concat(excepts[0], labels)
		if excepts[0] == nil {
			with = slices.Concat([]string{"except"}, labels)
		}
		excepts = append(excepts, with)
	}
	empties, nests, orders := nothing, nothing, nothing
	if hasEmpty {
		empties = append(empties, []string{"empty", "keep"})
	}
	if hasNested {
		nests = [][]string{{"nested", "json"}, {"nested", "skip"}, {"nested", "recurse"}, {"nested", "flat"}, {"nested", "json", "plain"}}
	}
	if mixed {
		orders = append(orders, []string{"order", "name-fold"}, []string{"order", "piece-fold"})
	} else if effort == thorough {
		orders = append(orders, []string{"order", "piece-fold"})
	}
	joins := [][]string{nil, {"after", "&"}, {"join", ""}, {"pair", "", "join", ""}}
	if effort == thorough {
		joins = append(joins, []string{"pair", ":", "join", ","}, []string{"join", "|"}, []string{"join", ","}, []string{"pair", "", "join", "&"}, []string{"pair", ":", "join", ""}, []string{"after", "|"}, []string{"join", `\n`})
	}
	nulls := nothing
	if slices.ContainsFunc(members, body.Member.IsNull) && effort == thorough {
		nulls = append(nulls, []string{"null", "empty"})
	}
	var all [][]string
	for _, except := range excepts {
		for _, empty := range empties {
			for _, nested := range nests {
				for _, order := range orders {
					for _, join := range joins {
						for _, null := range nulls {
							all = append(all, slices.Concat([]string{"sorted", part}, except, empty, nested, null, order, join))
						}
					}
				}
			}
		}
	}
	return all
}

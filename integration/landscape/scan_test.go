package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// reads is what the lines of one direction read and write, found by their words: a
// message that has all of it can be sealed or opened.
type reads struct {
	lines []recipe.Line // of the block, with the options filled in and whens kept
	texts []recipe.Line // that they name, and those that these read

	body, headers, query, form []string // a header may have a part behind a dot
	objects                    []string // members of the body that must be objects
	ofRequest                  *reads   // {request.…}
	set                        []string // what the block itself sets
	times                      map[string]string
	serials                    []string // places that name the key that has signed
	hidden                     []string // members that are encrypted
	others                     []string // of one-of: those that are not there
	extra                      bool     // members that nothing names are signed too
}

var placeholder = regexp.MustCompile(`\{(request\.)?(body|header|query|form)\.((?:\\\.|[^}])+)\}`)

// settings are the values of a recipe's options in these tests.
type settings map[string][]string

func settle(r recipe.Recipe, own settings) settings {
	s := make(settings)
	options, err := r.Options()
	if err != nil {
		panic(err)
	}
	for _, o := range options {
		switch {
		case own[o.Name] != nil:
			s[o.Name] = own[o.Name]
		case len(o.Default) > 0:
			s[o.Name] = o.Default
		case o.List:
			s[o.Name] = []string{"hidden"}
		default:
			s[o.Name] = []string{"own-" + o.Name}
		}
	}
	return s
}

func (s settings) fill(words []string) []string {
	var out []string
	for _, word := range words {
		spread := false
		for name, values := range s {
			mark := "{option." + name + "}"
			if strings.Contains(word, mark) && (word == mark || strings.HasPrefix(word, "body.") && len(values) > 1) {
				for _, value := range values {
					out = append(out, strings.ReplaceAll(word, mark, value))
				}
				spread = true
				break
			}
			word = strings.ReplaceAll(word, mark, strings.Join(values, ","))
		}
		if !spread {
			out = append(out, word)
		}
	}
	return out
}

// kept are lines with their options filled in, and those of a when in its place.
func (s settings) kept(lines []recipe.Line) []recipe.Line {
	var out []recipe.Line
	for _, l := range lines {
		if l.Words[0] == "when" {
			if slices.Contains(l.Words[2:], strings.Join(s[l.Words[1]], ",")) {
				out = append(out, s.kept(l.Block)...)
			}
			continue
		}
		l.Words, l.Block = s.fill(l.Words), s.kept(l.Block)
		out = append(out, l)
	}
	return out
}

// block returns the block of a kind, or nil.
func (s settings) block(r recipe.Recipe, kind message.Kind) []recipe.Line {
	for _, l := range s.kept(r.Lines) {
		if l.Words[0] == string(kind) {
			return l.Block
		}
	}
	return nil
}

// scan reads the block of a kind.
func scan(r recipe.Recipe, kind message.Kind, s settings) *reads {
	x := &reads{lines: s.block(r, kind), times: make(map[string]string), ofRequest: &reads{}}
	texts := make(map[string]recipe.Line)
	for _, l := range s.kept(r.Lines) {
		if l.Words[0] == "text" {
			texts[l.Words[1]] = l
		}
	}
	for _, l := range x.lines {
		x.statement(l, texts)
	}
	for i := 0; i < len(x.texts); i++ {
		x.text(x.texts[i], texts)
	}
	return x
}

func (x *reads) statement(l recipe.Line, texts map[string]recipe.Line) {
	words := l.Words
	if words[0] == "ack" { // read when an acknowledgement is signed
		return
	}
	switch words[0] {
	case "sign", "verify":
		if t, ok := texts[words[4]]; ok {
			x.use(t)
		}
		x.set = append(x.set, words[1])
	case "default", "set", "token":
		x.set = append(x.set, words[1])
	case "wrap", "unwrap":
		if len(words) > 2 {
			x.set = append(x.set, "form."+words[2])
		}
	case "string", "check":
		for _, w := range words[1:] {
			if outer, ok := strings.CutSuffix(w, ".*"); ok && outer != "body" {
				x.objects = append(x.objects, strings.TrimPrefix(outer, "body."))
			}
		}
		if words[0] == "string" || slices.Contains(words, "no-object") {
			return
		}
		if words[len(words)-1] == "object" {
			x.objects = append(x.objects, strings.TrimPrefix(words[1], "body."))
			return
		}
	case "match", "result", "identity", "send", "receive", "warn", "zone", "unsigned":
		return
	case "single":
		return
	case "fresh", "time":
		x.times[words[1]] = words[2]
	case "key":
		if strings.Contains(words[1], "{") {
			x.serials = append(x.serials, words[1])
		}
	case "certificate", "into", "wrap-key":
		return
	case "uid", "iv", "nonce", "aad":
	}
	for _, w := range words[1:] {
		x.word(w, texts)
		if path, ok := strings.CutPrefix(w, "body."); ok && !strings.Contains(path, "*") && (words[0] == "encrypt" || words[0] == "decrypt" || words[0] == "seal" || words[0] == "open") {
			x.body = append(x.body, path)
			x.hidden = append(x.hidden, path)
		}
	}
	for _, inner := range l.Block {
		if inner.Words[0] == "wrap" { // of an envelope
			x.set = append(x.set, inner.Words[3])
			continue
		}
		x.statement(inner, texts)
	}
}

func (x *reads) use(t recipe.Line) {
	if !slices.ContainsFunc(x.texts, func(l recipe.Line) bool { return l.Words[1] == t.Words[1] }) {
		x.texts = append(x.texts, t)
	}
}

// word notes the placeholders in a word.
func (x *reads) word(w string, texts map[string]recipe.Line) {
	for _, found := range placeholder.FindAllStringSubmatch(w, -1) {
		to := x
		if found[1] != "" {
			to = x.ofRequest
		}
		switch found[2] {
		case "body":
			to.body = append(to.body, found[3])
		case "header":
			to.headers = append(to.headers, found[3])
		case "query":
			to.query = append(to.query, found[3])
		case "form":
			to.form = append(to.form, found[3])
		}
	}
	for name, t := range texts {
		if strings.Contains(w, "{text."+name+"}") {
			x.use(t)
		}
	}
}

func (x *reads) text(t recipe.Line, texts map[string]recipe.Line) {
	for _, w := range t.Words[2:] {
		x.word(w, texts)
	}
	for i, l := range t.Block {
		for _, w := range l.Words {
			x.word(w, texts)
		}
		if i > 0 {
			continue
		}
		switch l.Words[0] {
		case "sorted", "json", "values":
			x.builder(l.Words)
		case "raw":
			x.objects = append(x.objects, strings.ReplaceAll(strings.TrimPrefix(l.Words[1], "body."), "*", "pay"))
		case "template":
			for _, name := range regexp.MustCompile(`\{([a-z_]+)\}`).FindAllStringSubmatch(l.Words[1], -1) {
				x.body = append(x.body, name[1])
			}
		}
	}
}

var builderWords = []string{"except", "only", "empty", "nested", "null", "booleans", "trim", "order", "pair", "join", "after", "names", "lists", "elements", "numbers", "of", "escape", "lengths", "sorted", "by-value", "deep", "with"}

func (x *reads) builder(words []string) {
	part, names := words[1], []string(nil)
	if words[0] == "values" {
		part = "body"
		if i := slices.Index(words, "of"); i > 0 {
			part = words[i+1]
		}
		for _, w := range words[1:] {
			if slices.Contains(builderWords, w) {
				break
			}
			names = append(names, w)
		}
	}
	if part == "one-of" {
		part = words[2]
		x.others = append(x.others, strings.TrimPrefix(words[3], "body."))
	}
	for i, w := range words {
		if w == "only" && words[i-1] != "order" {
			for _, name := range words[i+1:] {
				if slices.Contains(builderWords, name) {
					break
				}
				names = append(names, strings.ReplaceAll(name, "*", "amount"))
			}
		}
		if w == "listed" {
			x.body = append(x.body, words[i+2])
			names = append(names, "amount", "order")
		}
	}
	inside, ok := strings.CutPrefix(part, "body.")
	switch {
	case part == "header":
		x.headers = append(x.headers, names...)
	case part == "query":
		x.query = append(x.query, append(names, "a")...)
	case part == "form":
		x.form = append(x.form, append(names, "a")...)
	case ok:
		x.objects = append(x.objects, inside)
		for _, name := range names {
			x.body = append(x.body, inside+"."+name)
		}
	case len(names) > 0:
		x.body = append(x.body, names...)
	default:
		x.extra = true
	}
}

// writeTime writes a time in a unit or a layout.
func writeTime(t time.Time, layout string) string {
	switch layout {
	case "unix":
		return strconv.FormatInt(t.Unix(), 10)
	case "unix_ms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	return t.In(time.FixedZone("CST", 8*60*60)).Format(layout)
}

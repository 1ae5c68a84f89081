package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// compiler makes a Program of a recipe and the values of its options.
type compiler struct {
	p         *Program
	options   map[string]Option
	settings  Settings
	textLines map[string]*Line
	texts     map[string]*text
	visiting  map[string]bool
	wraps     bool // a payload travels as a field beside others
	aimed     bool // a placeholder depends on where a request goes
}

// Compile compiles a recipe. Settings are the values of its options; an option
// that is not among them has its default. Errors name file and line and say what
// to write.
func Compile(name string, r Recipe, settings Settings) (*Program, error) {
	c := &compiler{
		p:       &Program{name: name, methods: []string{"POST"}},
		options: make(map[string]Option), settings: make(Settings),
		textLines: make(map[string]*Line), texts: make(map[string]*text), visiting: make(map[string]bool),
	}
	if err := c.declare(r, settings); err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	c.wraps = r.wraps()
	if err := c.compile(r); err != nil {
		return nil, fmt.Errorf("recipe %s: %w%s", name, err, c.setBy(err, settings))
	}
	return c.p, nil
}

// setBy names the options of the configuration that a refused line depends on:
// whoever set them has not written the recipe.
func (c *compiler) setBy(err error, settings Settings) string {
	refused, ok := errors.AsType[*lineError](err)
	if !ok {
		return ""
	}
	var names []string
	var in func(lines []Line, follow bool)
	in = func(lines []Line, follow bool) {
		for _, l := range lines {
			for _, word := range l.Words {
				name, _ := optionIn(word)
				if _, set := settings[name]; set && !slices.Contains(names, name) {
					names = append(names, name)
				}
				if text := c.textLines[word]; follow && text != nil {
					in(text.Block, false)
				}
			}
			in(l.Block, follow)
		}
	}
	in([]Line{refused.line}, true)
	if len(names) == 0 {
		return ""
	}
	return "; it depends on what is set for " + strings.Join(names, ", ")
}

// Options are the options that a recipe declares, match among them if it has an
// answer that is matched.
func (r Recipe) Options() ([]Option, error) {
	var options []Option
	for _, l := range r.Lines {
		if l.Words[0] == "option" {
			o, err := readOption(l)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(options, func(other Option) bool { return other.Name == o.Name }) {
				return nil, l.errorf("option %s is declared twice", o.Name)
			}
			options = append(options, o)
		}
	}
	return append(options, matchOption), nil
}

// declare reads the options and settles their values.
func (c *compiler) declare(r Recipe, settings Settings) error {
	options, err := r.Options()
	if err != nil {
		return err
	}
	c.p.options = options
	for _, o := range options {
		c.options[o.Name], c.settings[o.Name] = o, o.Default
	}
	for name, values := range settings {
		o, ok := c.options[name]
		if !ok {
			return fmt.Errorf("it has no option %s; it has %s", name, strings.Join(c.p.OptionNames(), ", "))
		}
		if err := o.Check(values); err != nil {
			return err
		}
		c.settings[name] = values
	}
	return nil
}

// kept are the lines that the options keep: those of a when whose option has one
// of the values stand where the when stands.
func (c *compiler) kept(lines []Line) ([]Line, error) {
	var out []Line
	for _, l := range lines {
		if l.Words[0] != "when" {
			out = append(out, l)
			continue
		}
		if len(l.Words) < 3 || len(l.Block) == 0 {
			return nil, l.errorf("when takes an option, its values and a block, as in: when mode certificate { … }")
		}
		o, ok := c.options[l.Words[1]]
		if !ok {
			return nil, l.errorf("when %s: the recipe has no option %s", l.Words[1], l.Words[1])
		}
		for _, value := range l.Words[2:] {
			if len(o.Values) > 0 && !slices.Contains(o.Values, value) {
				return nil, l.errorf("when %s %s: the option has the values %s", o.Name, value, strings.Join(o.Values, ", "))
			}
		}
		inner, err := c.kept(l.Block) // also where it is dropped: it must be well formed
		if err != nil {
			return nil, err
		}
		if slices.Contains(l.Words[2:], strings.Join(c.settings[o.Name], ",")) {
			out = append(out, inner...)
		}
	}
	return out, nil
}

// compile compiles the lines that are kept.
func (c *compiler) compile(r Recipe) error {
	lines, err := c.kept(r.Lines)
	if err != nil {
		return err
	}
	for _, l := range r.Lines {
		if l.Words[0] == "text" && len(l.Words) > 1 && c.textLines[l.Words[1]] == nil {
			c.textLines[l.Words[1]] = &l
		}
	}
	seen := make(map[string]*Line)
	for _, l := range lines {
		if l.Words[0] == "text" && len(l.Words) > 1 {
			if at := seen[l.Words[1]]; at != nil {
				return l.errorf("text %s stands twice", l.Words[1])
			}
			seen[l.Words[1]], c.textLines[l.Words[1]] = &l, &l
		}
	}
	c.p.texts = c.texts
	blocks := make(map[string]Line)
	for _, l := range lines {
		word := l.Words[0]
		switch word {
		case "option", "text":
		case "title", "proof", "source", "methods", "warn":
			err = c.header(l)
		case "request", "answer", "notification":
			if _, twice := blocks[word]; twice {
				err = l.errorf("%s stands twice", word)
			}
			if len(l.Words) > 1 {
				err = l.errorf("%s takes only a block", word)
			}
			blocks[word] = l
		default:
			err = l.errorf("unknown word %q; a recipe has title, proof, source, option, methods, when, text, warn, request, answer and notification", word)
		}
		if err != nil {
			return err
		}
	}
	for name := range seen { // in any order: a text compiles those that it reads first
		if _, err := c.text(name); err != nil {
			return err
		}
	}
	return c.compileBlocks(r, blocks, seen)
}

func (c *compiler) compileBlocks(r Recipe, blocks map[string]Line, texts map[string]*Line) error {
	if len(blocks) == 0 {
		return fmt.Errorf("it has none of the blocks request, answer and notification, at %s", r.At)
	}
	c.p.description = scheme.Description{Name: c.p.name, Methods: c.p.methods, Warnings: c.p.warnings}
	if l, ok := blocks["request"]; ok {
		if err := c.requestBlock(l); err != nil {
			return err
		}
	}
	for _, kind := range []message.Kind{message.Answer, message.Notification} {
		if l, ok := blocks[string(kind)]; ok {
			if err := c.incomingBlock(l, kind); err != nil {
				return err
			}
		}
	}
	for name, l := range texts {
		if !r.mentions(name, "{text."+name+"}", l) {
			return l.errorf("text %s is never used; remove it, or name it in sign or verify", name)
		}
	}
	return c.finish(r)
}

// wraps reports whether a line wraps or unwraps a payload in a field.
func (r Recipe) wraps() bool {
	var in func(lines []Line) bool
	in = func(lines []Line) bool {
		return slices.ContainsFunc(lines, func(l Line) bool {
			return (l.Words[0] == "wrap" || l.Words[0] == "unwrap") && len(l.Words) > 1 && (l.Words[1] == "form" || l.Words[1] == "json") || in(l.Block)
		})
	}
	return in(r.Lines)
}

// mentions reports whether a line of the recipe other than that of the declaration
// names something: in lines that the options drop too, so that what other values
// of the options need is not called unused.
func (r Recipe) mentions(word, placeholder string, declaration *Line) bool {
	var in func(lines []Line) bool
	in = func(lines []Line) bool {
		return slices.ContainsFunc(lines, func(l Line) bool {
			if declaration != nil && l.Words[0] == declaration.Words[0] && l.At == declaration.At {
				return false
			}
			if strings.Contains(l.Words[0], placeholder) { // a template that begins a text
				return true
			}
			return slices.ContainsFunc(l.Words[1:], func(w string) bool { return w == word || strings.Contains(w, placeholder) }) || in(l.Block)
		})
	}
	return in(r.Lines)
}

// header compiles a line that is no block.
func (c *compiler) header(l Line) error {
	words, err := c.words(l)
	if err != nil {
		return err
	}
	if len(l.Block) > 0 {
		return l.errorf("%s takes no block", words[0])
	}
	args := words[1:]
	if len(args) == 0 {
		return l.errorf("%s takes at least one value", words[0])
	}
	switch words[0] {
	case "title":
		c.p.title = strings.Join(args, " ")
	case "source":
		c.p.sources = append(c.p.sources, args...)
	case "warn":
		c.p.warnings = append(c.p.warnings, strings.Join(args, " "))
	case "proof":
		if !slices.Contains(proofs, args[0]) {
			return l.errorf("proof takes one of %s, not %q", strings.Join(proofs, ", "), args[0])
		}
		c.p.proof, c.p.proofNote = args[0], strings.Join(args[1:], " ")
	case "methods":
		c.p.methods = nil
		for _, method := range args {
			if !slices.Contains(httpMethods, method) {
				return l.errorf("methods takes HTTP methods in capitals, such as GET and POST, not %q", method)
			}
			c.p.methods = append(c.p.methods, method)
		}
	}
	return nil
}

// proofs say how sure a rule is: a message that the provider itself made
// verifies; an official vector does; two independent clients agree; the
// documentation says so; or it is a guess.
var proofs = []string{"genuine", "vector", "clients", "documentation", "guess"}

var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// words are the words of a line with options filled in. A word that is no more
// than a list option stands for its values; see also parseTemplate, which fills
// options into templates.
func (c *compiler) words(l Line) ([]string, error) {
	out := make([]string, 0, len(l.Words))
	for _, word := range l.Words {
		filled, err := c.fill(word)
		if err != nil {
			return nil, l.errorf("%w", err)
		}
		out = append(out, filled)
	}
	return out, nil
}

// members are words that name members, where a list option stands for several.
func (c *compiler) members(l Line, words []string) ([]string, error) {
	var out []string
	for _, word := range words {
		name, ok := optionIn(word)
		o, known := c.options[name]
		if !ok || !known || !o.List {
			filled, err := c.fill(word)
			if err != nil {
				return nil, l.errorf("%w", err)
			}
			out = append(out, filled)
			continue
		}
		for i, value := range c.settings[name] {
			if value == "" || slices.Contains(c.settings[name][:i], value) {
				return nil, l.errorf("the option %s names %q twice, or nothing", name, value)
			}
			out = append(out, strings.ReplaceAll(word, "{option."+name+"}", value))
		}
	}
	return out, nil
}

func optionIn(word string) (string, bool) {
	_, rest, ok := strings.Cut(word, "{option.")
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, "}")
	return name, ok
}

// fill fills options into a word that is no template.
func (c *compiler) fill(word string) (string, error) {
	for {
		name, ok := optionIn(word)
		if !ok {
			return word, nil
		}
		if _, known := c.options[name]; !known {
			return "", fmt.Errorf("{option.%s}: the recipe has no option %s; add: option %s", name, name, name)
		}
		value := strings.Join(c.settings[name], ",")
		if strings.Contains(value, "{option.") {
			return "", fmt.Errorf("the value of the option %s holds the name of an option", name)
		}
		word = strings.ReplaceAll(word, "{option."+name+"}", value)
	}
}

// text compiles a text by its name, those that it reads first.
func (c *compiler) text(name string) (*text, error) {
	if t := c.texts[name]; t != nil {
		return t, nil
	}
	l := c.textLines[name]
	if l == nil {
		return nil, fmt.Errorf("the recipe has no text %s", name)
	}
	if c.visiting[name] {
		return nil, l.errorf("text %s reads itself", name)
	}
	c.visiting[name] = true
	defer delete(c.visiting, name)
	for _, inner := range textsIn(*l) {
		if c.textLines[inner] == nil {
			return nil, l.errorf("{text.%s}: the recipe has no text %s", inner, inner)
		}
		if _, err := c.text(inner); err != nil {
			return nil, err
		}
	}
	t, err := c.compileText(*l)
	if err != nil {
		return nil, err
	}
	c.texts[name] = t
	return t, nil
}

// textsIn are the texts that a line names.
func textsIn(l Line) []string {
	var names []string
	for _, word := range l.Words {
		for rest := word; ; {
			_, after, ok := strings.Cut(rest, "{text.")
			if !ok {
				break
			}
			name, behind, _ := strings.Cut(after, "}")
			names, rest = append(names, name), behind
		}
	}
	for _, inner := range l.Block {
		names = append(names, textsIn(inner)...)
	}
	return names
}

// textOf is the text that a statement names, or a template.
func (c *compiler) textOf(l Line, word string) (*text, error) {
	if c.textLines[word] != nil {
		return c.text(word)
	}
	if isName(word) {
		return nil, l.errorf("the recipe has no text %s; add: text %s { … }, or write a template in quotes", word, word)
	}
	for _, inner := range textsIn(Line{Words: []string{word}}) {
		if c.textLines[inner] != nil {
			if _, err := c.text(inner); err != nil {
				return nil, err
			}
		}
	}
	return c.templateText("", l, word)
}

// zone reads the line of a time zone.
func readZone(l Line) (*time.Location, error) {
	if len(l.Words) != 2 {
		return nil, l.errorf("zone takes one name, as in: zone UTC")
	}
	if l.Words[1] == "China" || l.Words[1] == "Asia/Shanghai" {
		return china, nil
	}
	zone, err := time.LoadLocation(l.Words[1])
	if err != nil {
		return nil, l.errorf("the zone %q is not known; write a name such as UTC or Asia/Taipei", l.Words[1])
	}
	return zone, nil
}

package recipe

import (
	"errors"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// compiler makes a Program of a recipe and the values of its options.
type compiler struct {
	p         *Program
	options   map[string]Option
	settings  Settings
	given     map[string]bool // options that the configuration sets, to any value
	textLines map[string]*Line
	texts     map[string]*text
	visiting  map[string]bool
	wraps     bool            // a payload travels as a field beside others
	aimed     bool            // a placeholder depends on where a request goes
	parts     map[string]bool // that the block has cut out so far; nil outside of blocks
	block     message.Kind    // that is compiled, or ""
}

// Compile compiles a recipe. Settings are the values of its options; an option
// that is not among them has its default. Errors name file and line and say what
// to write.
func Compile(name string, r Recipe, settings Settings) (*Program, error) {
	c := &compiler{
		p:       &Program{name: name, methods: []string{"POST"}},
		options: make(map[string]Option), settings: make(Settings), given: make(map[string]bool),
		textLines: make(map[string]*Line), texts: make(map[string]*text), visiting: make(map[string]bool),
	}
	if err := c.declare(r, settings); err != nil {
		return nil, i18n.Errorf("recipe %s: %w", name, err)
	}
	c.wraps = r.wraps()
	if err := c.compile(r); err != nil {
		return nil, i18n.Errorf("recipe %s: %w%s", name, err, c.setBy(err, settings, r))
	}
	return c.p, nil
}

// Check compiles a recipe with the defaults of its options, as far as that can be done:
// a line that takes its words from an option without a default is checked where a
// configuration sets the option.
func Check(name string, r Recipe) error {
	_, err := Compile(name, r, nil)
	if refused, ok := errors.AsType[*lineError](err); ok && r.waits(refused.line) {
		return nil
	}
	return err
}

// waits reports whether a line, or a text that it names, takes words from an option
// that is empty unless it is given.
func (r Recipe) waits(l Line) bool {
	options, err := r.Options()
	if err != nil {
		return false
	}
	texts := make(map[string]Line)
	for _, line := range r.Lines {
		if line.Words[0] == "text" && len(line.Words) > 1 {
			texts[line.Words[1]] = line
		}
	}
	seen := make(map[string]bool)
	var in func(l Line) bool
	in = func(l Line) bool {
		words := l.Words
		switch words[0] {
		case "default", "set", "token": // an empty value is one
			words = words[:min(2, len(words))]
		case "prepend", "append", "title", "warn":
			words = nil
		}
		for _, word := range words {
			name, found := optionIn(word)
			bare := found && word == "{option."+name+"}"
			place, _, dotted := strings.Cut(word, ".")
			if (bare || found && dotted && slices.Contains(placeKinds, place)) && slices.ContainsFunc(options, func(o Option) bool {
				return o.Name == name && strings.Join(o.Default, "") == ""
			}) {
				return true
			}
			for _, inner := range append(textsIn(Line{Words: []string{word}}), word) {
				if t, ok := texts[inner]; ok && !seen[inner] {
					if seen[inner] = true; in(t) {
						return true
					}
				}
			}
		}
		return slices.ContainsFunc(l.Block, in)
	}
	return in(l)
}

// placeKinds begin what names a place in a message.
var placeKinds = []string{"body", "header", "query", "form"}

// setBy adds to the error of a line the options of the configuration that it depends
// on: the operator who set them may not have written the recipe.
func (c *compiler) setBy(err error, settings Settings, r Recipe) i18n.Text {
	refused, ok := errors.AsType[*lineError](err)
	if !ok {
		return i18n.Text{}
	}
	waits := r.waits(refused.line)
	var names []string
	var in func(lines []Line, follow bool)
	in = func(lines []Line, follow bool) {
		for _, l := range lines {
			for _, word := range l.Words {
				name, _ := optionIn(word)
				_, set := settings[name]
				if o, known := c.options[name]; (set || waits && known && strings.Join(o.Default, "") == "") && !slices.Contains(names, name) {
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
		return i18n.Text{}
	}
	return i18n.T("; it depends on what is set for %s", strings.Join(names, ", "))
}

// declare reads the options and sets their values.
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
			return i18n.Errorf("it has no option %s; it has %s", name, strings.Join(c.p.OptionNames(), ", "))
		}
		if err := o.Check(values); err != nil {
			return err
		}
		c.settings[name], c.given[name] = values, true
	}
	return nil
}

// kept returns the lines that apply for the values of the options. The lines of a when
// replace it if its option has one of the values.
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
			return nil, l.errorf("when %s: the recipe has no option %[1]s; add: option %[1]s", l.Words[1])
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
	if err := checkSecretPlaces(lines); err != nil {
		return err
	}
	if err := blockLines(lines, onceInRecipe, []string{"text", "request", "answer", "notification"}); err != nil {
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
				return l.errorf("text %s stands twice; call one of them otherwise, or remove it", l.Words[1])
			}
			seen[l.Words[1]], c.textLines[l.Words[1]] = &l, &l
		}
	}
	c.p.texts = c.texts
	blocks := make(map[string]Line)
	for _, l := range lines {
		word := l.Words[0]
		switch word {
		case "option":
		case "text":
			if len(l.Words) < 2 {
				_, err := c.compileText(l) // which says what is missing
				return err
			}
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
		return i18n.Errorf("it has none of the blocks request, answer and notification, at %s", r.At)
	}
	c.p.description = scheme.Description{Name: c.p.name, Methods: c.p.methods, Warnings: c.p.warnings}
	if l, ok := blocks["request"]; ok {
		c.block = message.Request
		if err := c.requestBlock(l); err != nil {
			return err
		}
	}
	for _, kind := range []message.Kind{message.Answer, message.Notification} {
		if l, ok := blocks[string(kind)]; ok {
			c.block = kind
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

// text compiles a text by its name, after the texts that it reads.
func (c *compiler) text(name string) (*text, error) {
	if t := c.texts[name]; t != nil {
		return t, nil
	}
	l := c.textLines[name]
	if l == nil {
		return nil, i18n.Errorf("the recipe has no text %s", name)
	}
	if c.visiting[name] {
		return nil, l.errorf("text %s reads itself", name)
	}
	c.visiting[name] = true
	defer delete(c.visiting, name)
	for _, inner := range append(textsIn(*l), c.textsOfOptions(*l)...) {
		if c.textLines[inner] == nil {
			return nil, l.errorf("{text.%s}: the recipe has no text %[1]s; add: text %[1]s { … }", inner)
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

// textsIn returns the texts that a line names.
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

// textsOfOptions returns the texts that the values of options name where a text takes them
// as templates.
func (c *compiler) textsOfOptions(l Line) []string {
	var names []string
	if l.Words[0] == "template" && len(l.Words) > 1 {
		if filled, err := c.fill(l.Words[1]); err == nil { // else it is refused where it is compiled
			names = textsIn(Line{Words: []string{filled}})
		}
	}
	for _, inner := range l.Block {
		names = append(names, c.textsOfOptions(inner)...)
	}
	return names
}

// textOf returns the text that a statement names, or a template.
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

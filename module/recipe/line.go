package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Line is one line of a recipe: its words, and the lines of the block that it
// opens.
type Line struct {
	// The words of the line, the first of which names the statement. Required.
	Words []string `json:"words"`

	// The lines of the block, for a statement with one. Default: none.
	Block []Line `json:"block,omitempty"`

	// The place of the line, as file:line, for errors. Default: its place in the JSON.
	At string `json:"at,omitempty"`
}

// Recipe is a provider's protocol as a list of lines, which the package
// documentation describes.
type Recipe struct {
	// The lines of the recipe, in their order. Required.
	Lines []Line `json:"lines"`

	// The place of the recipe, as file:line, for errors. Default: none.
	At string `json:"at,omitempty"`
}

// MaxLines bounds a recipe, and how deep its blocks nest is bounded by maxNesting.
const (
	MaxLines   = 2000
	maxNesting = 8
)

// UnmarshalCaddyfile reads the block of a recipe. The dispenser stands at the
// word "recipe". Syntax:
//
//	recipe <name> {
//	    <lines>
//	}
func (r *Recipe) UnmarshalCaddyfile(d *caddyfile.Dispenser) (name string, err error) {
	r.At = where(d)
	if !d.NextArg() || d.Val() == "" {
		return "", d.WrapErr(i18n.Errorf("recipe needs a name, as in: recipe acme { … }"))
	}
	name = d.Val()
	if err := CheckName(name); err != nil {
		return "", d.WrapErr(err)
	}
	if d.NextArg() {
		return "", d.WrapErr(i18n.Errorf("recipe takes one name; %q is too much", d.Val()))
	}
	left := MaxLines
	r.Lines, err = readBlock(d, &left, 0)
	if err == nil && len(r.Lines) == 0 {
		err = i18n.Errorf("the recipe %s is empty; it needs at least one of the blocks request, answer and notification, at %s", name, r.At)
	}
	return name, err
}

func readBlock(d *caddyfile.Dispenser, left *int, depth int) ([]Line, error) {
	if depth > maxNesting {
		return nil, d.WrapErr(i18n.Errorf("the blocks of a recipe nest too deep"))
	}
	var lines []Line
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if *left--; *left < 0 {
			return nil, d.WrapErr(i18n.Errorf("a recipe has at most %d lines", MaxLines))
		}
		line := Line{Words: []string{d.Val()}, At: where(d)}
		line.Words = append(line.Words, d.RemainingArgs()...)
		block, err := readBlock(d, left, depth+1)
		if err != nil {
			return nil, err
		}
		line.Block = block
		lines = append(lines, line)
	}
	return lines, nil
}

// isName reports whether a text is a name of a recipe or an option.
func isName(text string) bool {
	return text != "" && !slices.ContainsFunc([]byte(text), func(c byte) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

func where(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// lineError is what is wrong with a line.
type lineError struct {
	line Line
	err  error
}

// Error is the error with the place of the line.
func (e *lineError) Error() string {
	return e.In(i18n.Current())
}

// In returns the error in a language.
func (e *lineError) In(l i18n.Language) string {
	if e.line.At == "" {
		return i18n.In(l, e.err)
	}
	return i18n.T("%w, at %s", e.err, e.line.At).In(l)
}

// Unwrap returns the error.
func (e *lineError) Unwrap() error { return e.err }

// errorf makes an error that names the place of the line.
func (l Line) errorf(format string, args ...any) error {
	return &lineError{l, i18n.Errorf(format, args...)}
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
// names something: also in lines that the values of the options drop, so that an option
// that only those lines use does not count as unused.
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

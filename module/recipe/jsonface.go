package recipe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// UnmarshalJSON reads a recipe of a JSON configuration. It refuses lines that a
// Caddyfile cannot have, and sets the place of a line without one to its place in the
// JSON.
func (r *Recipe) UnmarshalJSON(text []byte) error {
	type plain Recipe // without this method
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	*r = Recipe{}
	if err := decoder.Decode((*plain)(r)); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return i18n.Errorf("a recipe is written {\"lines\": [{\"words\": [\"title\", \"Acme\"]}, …]}, and %s is of another type there: %s", fieldName(wrong.Field), wrong.Value)
		}
		return i18n.Errorf("a recipe: %w", err)
	}
	if len(r.Lines) == 0 {
		return i18n.Errorf("a recipe has lines, with at least one of the blocks request, answer and notification: write {\"lines\": [{\"words\": [\"request\"], \"block\": […]}]}")
	}
	left := MaxLines
	if err := placeLines(r.Lines, "lines", &left, 0); err != nil {
		return err
	}
	if r.At == "" {
		r.At = "lines"
	}
	return nil
}

func fieldName(name string) string {
	if name == "" {
		return "the whole"
	}
	return name
}

// placeLines checks lines, which stand at a place of the JSON, and those in their blocks.
func placeLines(lines []Line, at string, left *int, depth int) error {
	if depth > maxNesting {
		return i18n.Errorf("the blocks of a recipe nest too deep")
	}
	for i := range lines {
		l := &lines[i]
		here := fmt.Sprintf("%s[%d]", at, i)
		if *left--; *left < 0 {
			return i18n.Errorf("a recipe has at most %d lines", MaxLines)
		}
		if l.At == "" {
			l.At = here
		}
		if len(l.Words) == 0 || l.Words[0] == "" {
			return l.errorf("a line of a recipe begins with a word, as in: {\"words\": [\"title\", \"Acme\"]}, and %s has none", here)
		}
		if err := placeLines(l.Block, here+".block", left, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// CheckName refuses a name that no recipe can have.
func CheckName(name string) error {
	if !isName(name) {
		return i18n.Errorf("the name of a recipe is made of lower-case letters, digits and hyphens, not %q", name)
	}
	return nil
}

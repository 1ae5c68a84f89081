package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// words returns the words of a line with options filled in. A word that is no more
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

// spread returns a line with a word that is only a list option replaced by its
// values.
func (c *compiler) spread(l Line) Line {
	var words []string
	for _, word := range l.Words {
		if name, ok := optionIn(word); ok && c.options[name].List && word == "{option."+name+"}" {
			words = append(words, c.settings[name]...)
		} else {
			words = append(words, word)
		}
	}
	l.Words = words
	return l
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

// fill fills options into a word that is not a template. Placeholders in a value are not
// replaced.
func (c *compiler) fill(word string) (string, error) {
	var filled strings.Builder
	for {
		before, rest, found := strings.Cut(word, "{option.")
		name, behind, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return filled.String() + word, nil
		}
		if _, known := c.options[name]; !known {
			return "", i18n.Errorf("{option.%s}: the recipe has no option %s; add: option %s", name, name, name)
		}
		value := strings.Join(c.settings[name], ",")
		if strings.Contains(value, "{option.") {
			return "", i18n.Errorf("the value of the option %s holds the name of an option", name)
		}
		filled.WriteString(before + value)
		word = behind
	}
}

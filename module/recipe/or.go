package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/scheme"
)

// orText compiles "or <text>" behind the text of verify: the text as the provider signs
// it in some of its messages. It covers everything that the first one covers, so that
// the description is right whichever of the two verifies.
func (c *compiler) orText(s *signature, l Line, rest []string) ([]string, error) {
	if len(rest) == 0 || rest[0] != "or" {
		return rest, nil
	}
	if len(rest) < 2 {
		return nil, l.errorf("or takes another text, as in: verify body.sign rsa-sha256 base64 members or all")
	}
	if !c.coversMore(l.Words[4], rest[1]) && !c.otherCase(l.Words[4], rest[1]) && !c.moreLines(l.Words[4], rest[1]) {
		return nil, l.errorf("or takes a text that is the first one with fewer names behind except, with empty keep, with further lines, or with a part of it in lower or upper case: what the first text covers, the other covers too")
	}
	var err error
	if s.or, err = c.textOf(l, rest[1]); err != nil {
		return nil, err
	}
	other := *s
	other.text = s.or
	if err := c.checkHoldsItself(&other); err != nil {
		return nil, err
	}
	return rest[2:], nil
}

// coversMore reports whether two texts are the same but for names behind except, of
// which the second has fewer, and for empty members, which the second may keep.
func (c *compiler) coversMore(first, second string) bool {
	a, b := c.textLines[first], c.textLines[second]
	if a == nil || b == nil {
		return false
	}
	linesA, errA := c.kept(a.Block)
	linesB, errB := c.kept(b.Block)
	if errA != nil || errB != nil || len(linesA) == 0 || len(linesA) != len(linesB) || linesA[0].Words[0] != "sorted" {
		return false
	}
	for i := range linesA {
		wordsA, exceptA := withoutExcept(linesA[i].Words)
		wordsB, exceptB := withoutExcept(linesB[i].Words)
		if i == 0 && !slices.Contains(wordsA, "empty") {
			wordsB = withoutPair(wordsB, "empty", "keep")
		}
		if !slices.Equal(wordsA, wordsB) || slices.ContainsFunc(exceptB, func(name string) bool { return !slices.Contains(exceptA, name) }) {
			return false
		}
	}
	return true
}

// moreLines reports whether two texts are one template each, of which the second has
// every line of the first, in its order, and further ones.
func (c *compiler) moreLines(first, second string) bool {
	a, plain := c.template(first)
	b, more := c.template(second)
	if len(plain) > 0 || len(more) > 0 || a == "" || b == "" {
		return false
	}
	left := strings.Split(a, `\n`)
	for _, line := range strings.Split(b, `\n`) {
		if len(left) > 0 && line == left[0] {
			left = left[1:]
		}
	}
	return len(left) == 0
}

// otherCase reports whether two texts are one template each, the same but for parts that
// the second has in lower or upper case, through texts that do nothing else.
func (c *compiler) otherCase(first, second string) bool {
	a, plain := c.template(first)
	b, more := c.template(second)
	if len(plain) > 0 || len(more) > 0 || a == "" {
		return false
	}
	for name := range c.textLines {
		part, changes := c.template(name)
		if len(changes) == 1 && (changes[0] == "lower" || changes[0] == "upper") {
			b = strings.ReplaceAll(b, "{text."+name+"}", part)
		}
	}
	return a == b
}

// template returns the template that a text begins with, and the words of what changes
// it; nothing for a text that begins with another builder.
func (c *compiler) template(name string) (template string, changes []string) {
	l := c.textLines[name]
	if l == nil {
		return "", nil
	}
	if len(l.Words) == 3 {
		return l.Words[2], nil
	}
	lines, err := c.kept(l.Block)
	if err != nil || len(lines) == 0 || len(lines[0].Words) != 1 {
		return "", nil
	}
	for _, change := range lines[1:] {
		changes = append(changes, change.Words...)
	}
	return lines[0].Words[0], changes
}

// withoutExcept returns the words of a line but for those of except, and the names behind
// it.
func withoutExcept(words []string) (rest, except []string) {
	reading := false
	for _, word := range words {
		switch {
		case word == "except":
			reading = true
		case reading && !slices.Contains(sortedWords, word):
			except = append(except, word)
		default:
			reading = false
			rest = append(rest, word)
		}
	}
	return rest, except
}

// withoutPair returns words without two that stand behind each other.
func withoutPair(words []string, first, second string) []string {
	for i := 1; i < len(words); i++ {
		if words[i-1] == first && words[i] == second {
			return slices.Concat(words[:i-1], words[i+1:])
		}
	}
	return words
}

// other returns the text behind or, made where the first one does not verify.
func (s *signature) other(e *env) func() (scheme.Text, error) {
	return func() (scheme.Text, error) {
		text, ambiguous, err := s.or.signed(e)
		if err == nil && ambiguous != nil {
			err = scheme.Failf(scheme.Ambiguous, "the message can be read in two ways: %w", ambiguous)
		}
		return text, invalid(err)
	}
}

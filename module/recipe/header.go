package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/scheme"
)

// header compiles a line that is not a block.
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
		c.warn("%s", strings.Join(args, " "))
	case "proof":
		if !slices.Contains(proofs, args[0]) {
			return l.errorf("proof takes one of %s, not %q", strings.Join(proofs, ", "), args[0])
		}
		if len(args) > 2 {
			return l.errorf("proof takes a word and one note; put the note in quotes")
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

// proofs are the kinds of evidence for a rule, the best first: a genuine message of the
// provider verifies; an official vector verifies; two independent clients agree; the
// documentation says so; a guess.
var proofs = []string{"genuine", "vector", "clients", "documentation", "guess"}

var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// warn records a sentence about the block that is compiled, or about the recipe.
func (c *compiler) warn(format string, args ...any) {
	w := scheme.Warning{Text: fmt.Sprintf(format, args...), Of: c.block}
	if !slices.Contains(c.p.warnings, w) {
		c.p.warnings = append(c.p.warnings, w)
	}
}

// confirmed reports whether an operator has set every text that the recipe
// guesses.
func (c *compiler) confirmed() bool {
	guessed := 0
	for name, o := range c.options {
		if len(o.Values) > 0 || o.List || len(o.Default) == 0 {
			continue
		}
		guessed++
		if !c.given[name] {
			return false
		}
	}
	return guessed > 0
}

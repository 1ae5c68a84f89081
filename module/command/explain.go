package command

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/command/visible"
	"github.com/countersign/caddy-countersign/module/keys"
)

// explainer writes what --explain tells, to standard error.
type explainer struct{ io.Writer }

func (e explainer) line(name, format string, args ...any) {
	fmt.Fprintf(e, "%-12s %s\n", name, fmt.Sprintf(format, args...))
}

// canonical shows a canonical string, its length and its digest.
func (e explainer) canonical(text []byte) {
	e.line("canonical", "%d bytes, %d characters, SHA-256 %x", len(text), utf8.RuneCount(text), sha256.Sum256(text))
	fmt.Fprintf(e, "%s\n", visible.Show(text))
	if n := hidden(text); n > 0 {
		e.line("look out", "%s of the canonical string cannot be seen or told apart; each stands between ⟨ and ⟩", count(n, "character"))
	}
}

func hidden(text []byte) int {
	n := 0
	for _, r := range string(text) {
		if _, wide := visible.Narrow(r); wide || visible.Hidden(r) {
			n++
		}
	}
	return n
}

// hole shows the text that is digested where a secret stands in it.
func (e explainer) hole(canonical, hole []byte) {
	if !bytes.Equal(canonical, hole) {
		e.line("digested", "with the secret in place of {secret}:")
		fmt.Fprintf(e, "%s\n", visible.Show(hole))
	}
}

// set tells which key set was used.
func (e explainer) set(set *keys.Set) {
	e.line("key set", "%s, version %s", set.Reference, set.Version)
}

// keys shows the keys of a set that serve the roles and have one of the
// fingerprints, or all that serve the roles.
func (e explainer) keys(set *keys.Set, fingerprints []string, roles ...keys.Role) {
	for _, role := range roles {
		held := set.Info(role)
		for i, k := range held {
			if fingerprints != nil && !slices.Contains(fingerprints, k.Fingerprint) {
				continue
			}
			which := string(role)
			if len(held) > 1 {
				which = fmt.Sprintf("%s %d", role, i+1)
			}
			e.line(which, "%s from %s", k.Fingerprint, k.Origin)
		}
	}
}

// would names the variations that would have opened a message, and returns how
// many there are.
func (e explainer) would(what string, found []diagnosis.Variation) int {
	for _, v := range found {
		fmt.Fprintf(e, "would %s %s\n", what, v)
	}
	return len(found)
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

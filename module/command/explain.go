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
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/inspector/recorder"
	"github.com/countersign/caddy-countersign/module/keys"
)

// explainer writes the output of --explain to standard error. A secret of the key set is
// masked wherever a text holds it: one that is sent as a token may be signed as well.
type explainer struct {
	io.Writer
	held *keys.Set
}

// line writes a line under a name, which labels has in both languages.
func (e explainer) line(name, format string, args ...any) {
	fmt.Fprintf(e, "%s %s\n", padded(shown(labels, name), 12), i18n.Sprintf(format, args...))
}

// labels are the names of lines. Roles are the same in every language.
var labels = texts(
	i18n.T("scheme"), i18n.T("key set"), i18n.T("canonical"), i18n.T("digested"), i18n.T("warning"), i18n.T("signed"),
	i18n.T("note"), i18n.T("diagnosis"), i18n.T("not tried"), i18n.T("would not"),
)

// canonical shows a canonical string, its length and its digest.
func (e explainer) canonical(text []byte) {
	e.line("canonical", "%d bytes, %d characters, SHA-256 %x", len(text), utf8.RuneCount(text), sha256.Sum256(text))
	e.text(text)
	if n := hidden(text); n > 0 {
		e.line("warning", "%v of the canonical string cannot be seen or told apart; each stands between ⟨ and ⟩", characters(n))
	}
}

func (e explainer) text(text []byte) {
	fmt.Fprintf(e, "%s\n", visible.Show(recorder.MaskText(text, e.held)))
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

// redacted shows the text that is digested where a secret stands in it.
func (e explainer) redacted(canonical, redacted []byte) {
	if !bytes.Equal(canonical, redacted) {
		e.line("digested", "with the secret in place of {secret}:")
		e.text(redacted)
	}
}

// set prints which key set was used.
func (e explainer) set(set *keys.Set) {
	e.line("key set", "%s, version %s", set.Reference, set.Version)
}

// keys prints the keys of the roles that have one of the fingerprints, or all keys of
// the roles.
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
			fmt.Fprintf(e, "%s %s\n", padded(which, 12), i18n.Sprintf("%s from %s", k.Fingerprint, k.Origin))
		}
	}
}

// would prints the variations that would have opened a message, and returns their
// number.
func (e explainer) would(what i18n.Text, found []diagnosis.Variation) int {
	for _, v := range found {
		fmt.Fprintf(e, "%s %s\n", what, v)
	}
	return len(found)
}

func characters(n int) i18n.Text {
	if n == 1 {
		return i18n.T("1 character")
	}
	return i18n.T("%d characters", n)
}

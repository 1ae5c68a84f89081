package diagnosis

import (
	"bytes"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/countersign/caddy-countersign/module/command/visible"
	"github.com/countersign/caddy-countersign/module/i18n"
)

// around is how many characters are shown on either side of a difference.
const around = 32

// Sides returns the text of two strings around their first difference: what both have
// before it, and the rest of each. A secret in the rest of theirs is not shown.
func Sides(d *Difference, ours, theirs []byte) (before, restOfOurs, restOfTheirs string) {
	restOfTheirs = head(masked(ours, theirs, d.At))
	if d.Cause.Secret {
		restOfTheirs = i18n.Sprintf("(%d bytes, not shown)", len(theirs)-d.At)
	}
	return tail(ours[:d.At]), head(ours[d.At:]), restOfTheirs
}

var secretAtEnd = regexp.MustCompile(`(?:^|&)key=([^&]*)$`)

// masked returns the rest of theirs, without the secret that strings from a provider's
// support often end with.
func masked(ours, theirs []byte, from int) []byte {
	at := secretAtEnd.FindSubmatchIndex(theirs)
	if at == nil || at[2] < from || bytes.Contains(ours, []byte("key=")) {
		return theirs[from:]
	}
	return slices.Concat(theirs[from:at[2]], []byte(i18n.Sprintf("(not shown)")))
}

// tail returns the end of what both strings have in common, made visible.
func tail(text []byte) string {
	at := len(text)
	for range around {
		_, size := utf8.DecodeLastRune(text[:at])
		at -= size
	}
	shown := visible.Show(text[at:])
	if at > 0 {
		return "…" + shown
	}
	return shown
}

// head returns the beginning of the rest of a string, made visible, or a word for its
// end.
func head(text []byte) string {
	if len(text) == 0 {
		return i18n.Sprintf("⟨end⟩")
	}
	at := 0
	for range around {
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	shown := visible.Show(text[:at])
	if at < len(text) {
		return shown + "…"
	}
	return shown
}

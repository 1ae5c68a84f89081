package command

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/width"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/command/visible"
)

// around is how many characters are shown on either side of a difference.
const around = 32

type differ struct {
	input
	as string
}

func diffCommand() *cobra.Command {
	in := new(differ)
	cmd := &cobra.Command{
		Use:   "diff --scheme <scheme> [--as request|response|notification] [--set <option>=<value>]... BODY CANONICAL",
		Short: "Compares our canonical string of a message with the provider's",
		Long: `Makes the canonical string of BODY, a message as it was on the wire (a request
with its signature and ciphertext in place, as seal prints it; or an answer or a
notification, with --as), and compares it with CANONICAL, a file that holds the
string from the provider's support, without the secret. Either may be "-" for
standard input.

If they differ it shows the first difference, both sides around it, and its
likely cause, and the exit status is 1. No keys are needed.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return in.diff(cmd, args[0], args[1]) },
	}
	in.schemeFlags(cmd)
	cmd.Flags().StringVar(&in.as, "as", "request", "what BODY is: request, response or notification")
	// What opens a message can so be compared by changing one word.
	in.keyFlags(cmd)
	for _, name := range []string{"keys", "ref"} {
		_ = cmd.Flags().MarkHidden(name) // the flags are there
	}
	return cmd
}

// errDiffer makes the exit status 1; what differs has been said.
var errDiffer = errors.New("the canonical strings differ")

func (in *differ) diff(cmd *cobra.Command, bodyFile, canonicalFile string) error {
	recipe, err := in.recipe()
	if err != nil {
		return err
	}
	s, err := recipe.Configure()
	if err != nil {
		return err
	}
	kind, err := diagnosis.Kind(in.as)
	if err != nil {
		return err
	}
	if bodyFile == "-" && canonicalFile == "-" {
		return errors.New("only one of BODY and CANONICAL can be standard input")
	}
	text, err := read(cmd, []string{bodyFile})
	if err != nil {
		return err
	}
	theirs, err := read(cmd, []string{canonicalFile})
	if err != nil {
		return err
	}
	message, err := diagnosis.Read(s, kind, text)
	if err != nil {
		return err
	}
	ours, err := diagnosis.Canonical(s, message)
	if err != nil {
		return fmt.Errorf("making the canonical string of the %s: %w", in.as, err)
	}
	out := cmd.OutOrStdout()
	d := diagnosis.Compare(ours, theirs)
	if d == nil {
		_, err := fmt.Fprintf(out, "equal: %d bytes, SHA-256 %x\n", len(ours), sha256.Sum256(ours))
		return err
	}
	if _, err := io.WriteString(out, report(d, ours, theirs)); err != nil {
		return err
	}
	for _, v := range diagnosis.WouldEqual(recipe, message, theirs) {
		if _, err := fmt.Fprintf(out, "would be equal %s\n", v); err != nil {
			return err
		}
	}
	return errDiffer
}

// report is a difference in words.
func report(d *diagnosis.Difference, ours, theirs []byte) string {
	var out strings.Builder
	fmt.Fprintf(&out, "differ at byte %d, ours has %d bytes, theirs has %d", d.At, len(ours), len(theirs))
	if d.Member != "" {
		fmt.Fprintf(&out, "; in %s", d.Member)
	}
	before := tail(ours[:d.At])
	restOfTheirs := head(masked(ours, theirs, d.At))
	if d.Cause.Secret {
		restOfTheirs = fmt.Sprintf("(%s, not shown)", count(len(theirs)-d.At, "byte"))
	}
	fmt.Fprintf(&out, "\n  ours    %s%s\n  theirs  %s%s\n          %s^\n", before, head(ours[d.At:]), before, restOfTheirs, strings.Repeat(" ", columns(before)))
	fmt.Fprintf(&out, "likely cause: %s: %s\n", d.Cause.Name, d.Cause.Words)
	fmt.Fprintf(&out, "what to do: %s\n", d.Cause.Advice)
	if len(d.Also) > 0 {
		fmt.Fprintf(&out, "also different: %s\n", strings.Join(d.Also, ", "))
	}
	return out.String()
}

var secretAtEnd = regexp.MustCompile(`(?:^|&)key=([^&]*)$`)

// masked is what theirs goes on with, without the secret that support likes to
// leave at its end.
func masked(ours, theirs []byte, from int) []byte {
	at := secretAtEnd.FindSubmatchIndex(theirs)
	if at == nil || at[2] < from || bytes.Contains(ours, []byte("key=")) {
		return theirs[from:]
	}
	return slices.Concat(theirs[from:at[2]], []byte("(not shown)"))
}

// tail is the end of what both strings have in common, made visible.
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

// head is the beginning of what a string goes on with, made visible, or a word
// for its end.
func head(text []byte) string {
	if len(text) == 0 {
		return "⟨end⟩"
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

// columns is how many columns of a terminal a text takes.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n++
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n++
		}
	}
	return n
}

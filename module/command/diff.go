package command

import (
	"crypto/sha256"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/text/width"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	signature "github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

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
likely cause, and the exit status is 1. No keys are needed. Where they are equal
and --keys and --ref are given, it says why the signature does not verify.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return in.diff(cmd, args[0], args[1]) },
	}
	in.schemeFlags(cmd)
	cmd.Flags().StringVar(&in.as, "as", "request", "what BODY is: request, response or notification")
	// What opens a message can so be compared by changing one word.
	in.keyFlags(cmd)
	return cmd
}

// errDiffer makes the exit status 1; the difference has been printed.
var errDiffer = i18n.Errorf("the canonical strings differ")

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
		return i18n.Errorf("only one of BODY and CANONICAL can be standard input")
	}
	text, err := read(cmd, []string{bodyFile})
	if err != nil {
		return err
	}
	theirs, err := read(cmd, []string{canonicalFile})
	if err != nil {
		return err
	}
	m, err := diagnosis.Read(s, kind, text)
	if err != nil {
		return err
	}
	ours, err := diagnosis.Canonical(s, m)
	if err != nil {
		return i18n.Errorf("making the canonical string of the %s: %w", in.as, err)
	}
	out := cmd.OutOrStdout()
	d := diagnosis.Compare(ours, theirs)
	if d == nil {
		i18n.Fprintf(out, "equal: %d bytes, SHA-256 %x\n", len(ours), sha256.Sum256(ours))
		if kind != message.Request && in.keys != "" {
			return in.signed(cmd, s, m)
		}
		return nil
	}
	if _, err := io.WriteString(out, report(d, ours, theirs)); err != nil {
		return err
	}
	for _, v := range diagnosis.WouldEqual(recipe, m, theirs) {
		i18n.Fprintf(out, "would be equal %s\n", v)
	}
	return errDiffer
}

// signed prints why the signature of a message does not verify, although the text that
// was signed is known. The exit status depends only on the text.
func (in *differ) signed(cmd *cobra.Command, s scheme.Scheme, m *message.Message) error {
	set, err := in.keySet(cmd.Context(), m)
	if err != nil {
		return err
	}
	_, failed := diagnosis.Open(s, m, set, in.at(), nil)
	if failed == nil {
		return nil
	}
	if why := signature.Sentence(s, scheme.Incoming{Message: m, Keys: set, Now: in.at()}, failed); !why.IsZero() {
		i18n.Fprintf(cmd.OutOrStdout(), "the signature does not verify: %s\n", why)
	}
	return nil
}

// report returns a difference in words.
func report(d *diagnosis.Difference, ours, theirs []byte) string {
	var out strings.Builder
	i18n.Fprintf(&out, "differ at byte %d, ours has %d bytes, theirs has %d", d.At, len(ours), len(theirs))
	if d.Member != "" {
		i18n.Fprintf(&out, "; in %s", d.Member)
	}
	before, restOfOurs, restOfTheirs := diagnosis.Sides(d, ours, theirs)
	i18n.Fprintf(&out, "\n  ours    %s%s\n  theirs  %s%s\n          %s^\n", before, restOfOurs, before, restOfTheirs, strings.Repeat(" ", columns(before)))
	i18n.Fprintf(&out, "likely cause: %s: %s\n", d.Cause.Name, d.Cause.Words)
	i18n.Fprintf(&out, "what to do: %s\n", d.Cause.Advice)
	if len(d.Also) > 0 {
		also := make([]string, len(d.Also))
		for i, other := range d.Also {
			also[i] = other.In(i18n.Current())
		}
		i18n.Fprintf(&out, "also different: %s\n", strings.Join(also, ", "))
	}
	return out.String()
}

// columns returns how many columns of a terminal a text takes.
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

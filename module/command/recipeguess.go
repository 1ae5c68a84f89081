package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe/guess"
)

// maxGuess is how long a search takes at most.
const maxGuess = 55 * time.Second

func guessCommand() *cobra.Command {
	in := new(input)
	as := ""
	cmd := &cobra.Command{
		Use:   "guess --keys <folder> --ref <reference> --as request|answer|notification <message>...",
		Short: "Finds the recipe by which messages were signed",
		Long: `Searches how a provider signs, from messages that it has signed and the keys: the
place of the signature, the text (sorted members, the bytes of the body, templates
with headers), empty and nested members, order, where the secret stands, digest and
encoding, until the signature of every message verifies. It prints a recipe block to
go on with, how many candidates were tried and how many fit.

Give two messages or more where there are: what fits one of them by chance is then
left out. The exit status is 1 if nothing fits; what was searched is printed then.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return in.guess(cmd, as, args) },
	}
	in.keyFlags(cmd)
	cmd.Flags().StringVar(&as, "as", "", "what the messages are: request, answer or notification")
	return cmd
}

// errNoFit makes the exit status 1; the candidates have been printed.
var errNoFit = i18n.Errorf("no candidate verifies every message")

func (in *input) guess(cmd *cobra.Command, as string, files []string) error {
	kind, err := diagnosis.Kind(as)
	if err != nil {
		return err
	}
	var messages []*message.Message
	for _, file := range files {
		text, err := read(cmd, []string{file})
		if err != nil {
			return err
		}
		m, whole, err := diagnosis.Split(kind, text)
		if err != nil {
			return i18n.Errorf("%s: %w", file, err)
		}
		switch answer := strings.HasPrefix(strings.TrimPrefix(string(text), "\ufeff"), "HTTP/"); {
		case whole && answer && kind != message.Answer:
			return i18n.Errorf("%s begins with a status line: it is an answer; write --as answer", file)
		case whole && !answer && kind == message.Answer:
			return i18n.Errorf("%s begins with a request line: it is a request or a notification; write --as request or --as notification", file)
		}
		if !whole { // a body alone has no method and no path
			m.Method, m.Path, m.Status = "", "", 0
		}
		messages = append(messages, m)
	}
	var set *keys.Set
	if set, err = in.keySet(cmd.Context(), messages[0]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), maxGuess)
	defer cancel()
	result, err := guess.Search(ctx, kind, messages, set)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if len(result.Fits) == 0 {
		i18n.Fprintf(out, "%d candidates tried, none fits\n", result.Tried)
		for _, what := range result.Searched {
			i18n.Fprintf(out, "searched %s\n", what)
		}
		if result.Said != "" {
			fmt.Fprintln(out, result.Said)
		}
		if result.Over {
			i18n.Fprintf(out, "the time was over before all candidates were tried\n")
		}
		return errNoFit
	}
	fmt.Fprintf(out, "%s# ", result.Fits[0])
	i18n.Fprintf(out, "%d candidates tried, %d fit", result.Tried, len(result.Fits))
	fmt.Fprintln(out, others(result.Fits))
	return nil
}

// others lists the further rules by their differences from the first one.
func others(fits []guess.Rule) string {
	var out strings.Builder
	if len(fits) > 1 {
		out.WriteString(i18n.Sprintf("; these messages do not tell it from:"))
	}
	for _, r := range fits[1:] {
		fmt.Fprintf(&out, "\n#   %s", r.Summary())
	}
	return out.String()
}

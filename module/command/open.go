package command

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	signature "github.com/countersign/caddy-countersign/module/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// kinds are the words that --as takes.
var kinds = texts(i18n.T("request"), i18n.T("response"), i18n.T("notification"))

// opening are the roles that open a message.
var opening = []keys.Role{keys.Verify, keys.Decrypt, keys.SharedSecret, keys.VerifySecret}

type opener struct {
	input
	as string
}

func openCommand() *cobra.Command {
	in := new(opener)
	cmd := &cobra.Command{
		Use:   "open --scheme <scheme> --keys <folder> --ref <reference> [--as response|notification] [--set <option>=<value>]... [--explain] [FILE]",
		Short: "Verifies and decrypts what a provider has sent",
		Long: `Verifies an answer or a notification of the provider, decrypts it, and prints
the plaintext. The exit status is 1 if it does not verify. A notification that
is a form is given as the form's body or as the query string.

An answer whose envelope opens only with the key of its request is "verified,
not decryptable": it is printed as it came, with a note on standard error.

With --explain the canonical string, its digest and the keys are printed on
standard error; and of a message that does not verify, which values of the
scheme's options, which keys and which charset would have made it verify.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return in.open(cmd, args) },
	}
	in.schemeFlags(cmd)
	in.keyFlags(cmd)
	cmd.Flags().StringVar(&in.as, "as", "response", "what the message is: response or notification")
	cmd.Flags().BoolVar(&in.explain, "explain", false, "tell on standard error what was verified, and why it did not verify")
	return cmd
}

func (in *opener) open(cmd *cobra.Command, args []string) error {
	recipe, err := in.recipe()
	if err != nil {
		return err
	}
	s, err := recipe.Configure()
	if err != nil {
		return err
	}
	kind, err := diagnosis.Kind(in.as)
	if err != nil || kind == message.Request {
		return i18n.Errorf("--as takes response or notification, not %q", in.as)
	}
	text, err := read(cmd, args)
	if err != nil {
		return err
	}
	m, err := diagnosis.Read(s, kind, text)
	if err != nil {
		return err
	}
	set, err := in.keySet(cmd.Context(), m)
	if err != nil {
		return err
	}
	came := m.Wire
	if len(came) == 0 {
		came = []byte(m.Query)
	}

	e := explainer{cmd.ErrOrStderr(), set}
	opened, failed := diagnosis.Open(s, m, set, in.at(), nil)
	if in.explain {
		e.line("scheme", "%s, %v", in.name(), kinds[in.as])
		e.set(set)
		if failed != nil {
			in.explainFailure(e, s, m, set)
			in.explainWhy(e, recipe, s, m, set, failed)
		} else if !opened.IsUnsigned() {
			e.keys(set, opened.Fingerprints(), opening...)
			e.line("signed", "%s", opened.Part())
			e.redacted(opened.Canonical(), opened.Redacted())
			e.canonical(opened.Canonical())
			if !opened.Note().IsZero() {
				found, _ := diagnosis.WouldOpen(recipe, m, set, in.at(), true)
				e.would(i18n.T("would open"), found)
			}
		}
	}
	switch {
	case failed != nil:
		return i18n.Errorf("the %v does not open: %w", kinds[in.as], failed)
	case opened.IsUnsigned():
		return i18n.Errorf("the %v is not signed; the provider's rule allows that for this one, and nothing in it is verified", kinds[in.as])
	case !opened.Note().IsZero():
		e.line("note", "%s", opened.Note())
	}
	plain := opened.Body()
	direction := s.Describe().Answer
	if kind == message.Notification {
		direction = s.Describe().Notification
	}
	if direction.Format.AsWire || kind == message.Notification && !direction.Format.IsJSON() && !opened.Revealed() || plain == nil {
		plain = came // as the application gets it
	}
	_, err = cmd.OutOrStdout().Write(plain)
	return err
}

// explainFailure prints the text that did not verify.
func (in *opener) explainFailure(e explainer, s scheme.Scheme, m *message.Message, set *keys.Set) {
	e.keys(set, nil, opening...)
	text, err := diagnosis.Canonical(s, m)
	if err != nil {
		e.line("canonical", "there is none: %v", err)
		return
	}
	e.canonical(text)
}

// explainWhy prints the variations with which a message would have verified or
// decrypted.
func (in *opener) explainWhy(e explainer, r diagnosis.Recipe, s scheme.Scheme, m *message.Message, set *keys.Set, failed error) {
	switch scheme.ReasonOf(failed) {
	case scheme.BadSignature, scheme.NeedsKeys:
		found, untried := diagnosis.WouldOpen(r, m, set, in.at(), false)
		if e.would(i18n.T("would verify"), found) == 0 {
			if why := signature.Sentence(s, scheme.Incoming{Message: m, Keys: set, Now: in.at()}, failed); !why.IsZero() {
				e.line("diagnosis", "%s", why)
			}
			for _, reason := range untried {
				e.line("not tried", "some values of options: %s", reason)
			}
			e.line("would not", "no value of an option, no other key of this set and not GBK would have made it verify; ask the provider's support for the string that it signed, and compare: caddy countersign diff")
		}
	case scheme.Decryption:
		found, _ := diagnosis.WouldOpen(r, m, set, in.at(), true)
		e.would(i18n.T("would open"), found)
	}
}

// causeOf returns what a scheme's error keeps for the log, or nil.
func causeOf(err error) error {
	if e, ok := errors.AsType[*scheme.Error](err); ok {
		return e.Cause
	}
	return nil
}

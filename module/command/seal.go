package command

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

func sealCommand() *cobra.Command {
	in := new(input)
	cmd := &cobra.Command{
		Use:   "seal --scheme <scheme> --keys <folder> --ref <reference> [--set <option>=<value>]... [--explain] [FILE]",
		Short: "Prints a plain request as it would go out",
		Long: `Prints a plain request as it would go out to the provider: signed, encrypted,
and otherwise byte for byte as it came.

With --explain the canonical string, its digest and the keys are told on
standard error.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return in.seal(cmd, args) },
	}
	in.schemeFlags(cmd)
	in.keyFlags(cmd)
	cmd.Flags().BoolVar(&in.explain, "explain", false, "tell on standard error what was signed, and with which keys")
	return cmd
}

func (in *input) seal(cmd *cobra.Command, args []string) error {
	recipe, err := in.recipe()
	if err != nil {
		return err
	}
	s, err := recipe.Configure()
	if err != nil {
		return err
	}
	text, err := read(cmd, args)
	if err != nil {
		return err
	}
	request, err := diagnosis.Read(s, scheme.KindRequest, text)
	if err != nil {
		return err
	}
	set, err := in.keySet(cmd.Context(), request)
	if err != nil {
		return err
	}
	if err := set.Need(diagnosis.SealRoles(s, request.Body)...); err != nil {
		return err
	}
	sealed, err := s.Seal(scheme.Request{Body: request.Body, Keys: set, Now: time.Now()})
	if err != nil {
		return sealError(err)
	}
	e := explainer{cmd.ErrOrStderr()}
	if in.explain {
		e.line("scheme", "%s, request", scheme.Name(s))
		e.set(set)
		e.keys(set, sealed.Fingerprints, keys.Sign, keys.Encrypt, keys.SharedSecret)
		e.canonical(sealed.Canonical)
	}
	if err := set.Need(s.Needs(request.Body)...); err != nil {
		e.line("note", "the sidecar would not send this: %v", err)
	}
	_, err = cmd.OutOrStdout().Write(sealed.Body)
	return err
}

// sealError adds the cause, which names the key: this is the operator's own
// terminal, not a client's answer.
func sealError(err error) error {
	if cause := causeOf(err); cause != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

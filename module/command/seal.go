package command

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func sealCommand() *cobra.Command {
	in := new(input)
	cmd := &cobra.Command{
		Use:   "seal --scheme <scheme> --keys <folder> --ref <reference> [--set <option>=<value>]... [--explain] [FILE]",
		Short: "Prints a plain request as it would go out",
		Long: `Prints a plain request as it would go out to the provider: signed, encrypted,
and otherwise byte for byte as it came.

With --explain the canonical string, its digest and the keys are printed on
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
	if s.Describe().Request == nil {
		return i18n.Errorf("%s serves notifications only; it has no requests", in.name())
	}
	request, whole, err := diagnosis.ReadPlain(s, text)
	if err != nil {
		return err
	}
	if methods := s.Describe().Methods; whole && !slices.Contains(methods, request.Method) {
		return i18n.Errorf("%s takes no %s; its methods are %s, and the sidecar answers others with 405", in.name(), request.Method, strings.Join(methods, ", "))
	}
	set, err := in.keySet(cmd.Context(), request)
	if err != nil {
		return err
	}
	if err := set.Need(diagnosis.SealRoles(s, request)...); err != nil {
		return err
	}
	sealed, err := scheme.Seal(s, scheme.Request{Message: request, Keys: set, Now: in.at()})
	if err != nil {
		return sealError(err)
	}
	e := explainer{cmd.ErrOrStderr(), set}
	if in.explain {
		e.line("scheme", "%s, request", in.name())
		e.set(set)
		e.keys(set, sealed.Fingerprints, keys.Sign, keys.Encrypt, keys.SharedSecret)
		e.redacted(sealed.Canonical(), sealed.Redacted())
		e.canonical(sealed.Canonical())
	}
	if err := set.Need(s.Describe().Needs(request)...); err != nil {
		e.line("note", "the sidecar would not send this: %v", err)
	}
	in.missingIdentity(e, s, request)
	if whole {
		return writeMessage(cmd.OutOrStdout(), sealed.Message)
	}
	out := sealed.Message.Wire
	if out == nil {
		out = []byte(sealed.Message.Query)
	}
	_, err = cmd.OutOrStdout().Write(out)
	return err
}

// sealError adds the cause, which names the key: this is the operator's own
// terminal, not a client's answer.
func sealError(err error) error {
	if cause := causeOf(err); cause != nil && !strings.Contains(err.Error(), cause.Error()) {
		return i18n.Errorf("%w: %w", err, cause)
	}
	return err
}

// writeMessage prints a request with its request line and headers.
func writeMessage(w io.Writer, m *message.Message) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\n", m.Method, m.URI())
	if m.Host != "" {
		fmt.Fprintf(&out, "Host: %s\r\n", m.Host)
	}
	if err := m.Header.Write(&out); err != nil {
		return err
	}
	out.WriteString("\r\n")
	out.Write(m.Wire)
	_, err := w.Write(out.Bytes())
	return err
}

// missingIdentity warns if an option that adds a member is not set and the application
// has not given the member either: the provider would refuse the request.
func (in *input) missingIdentity(e explainer, s scheme.Scheme, m *message.Message) {
	p, ok := s.(*recipe.Program)
	if !ok || m.Payload == nil {
		return
	}
	identities := p.Identities()
	for _, option := range slices.Sorted(maps.Keys(identities)) {
		path := identities[option]
		if _, given := m.Payload.Get(path); !given {
			e.line("note", "the request has no %s, and the option %s is not set; give one of them", path, option)
		}
	}
}

package command

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource/file"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
)

// maxInput is the largest file that is read, in bytes: no provider accepts more.
const maxInput = 64 << 20

// input is what the commands on single messages have in common: a scheme with
// its options, a key set, and what is to be explained.
type input struct {
	scheme    string
	settings  []string
	keys      string
	reference string
	explain   bool
	recipes   string // a file with recipes that do not ship
	time      string // --at
	now       time.Time
}

// name returns the scheme's name.
func (in *input) name() string { return in.scheme }

// at returns the time that fresh, certificates and {time.…} see.
func (in *input) at() time.Time {
	if in.now.IsZero() {
		return time.Now()
	}
	return in.now
}

// schemeFlags adds the flags that configure the scheme.
func (in *input) schemeFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&in.scheme, "scheme", "", "the provider's `scheme`, such as easypay: a name that recipe list shows, or one of --recipe")
	cmd.Flags().StringVar(&in.recipes, "recipe", "", "a `file` with recipes that do not ship: recipe blocks, or a whole Caddyfile")
	cmd.Flags().StringVar(&in.time, "at", "", "the `time` (RFC 3339) that the message is made or opened at; now by default")
	cmd.Flags().StringArrayVar(&in.settings, "set", nil, "an option of the scheme, as `option=value`; several values are separated by commas")
}

// keyFlags adds the flags that name the key set.
func (in *input) keyFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&in.keys, "keys", "", "the `folder` that holds the key sets")
	cmd.Flags().StringVar(&in.reference, "ref", "", "the `reference` of the key set; {body.x} in it stands for the member x of the message")
}

// readTime reads --at.
func (in *input) readTime() error {
	if in.time == "" {
		return nil
	}
	now, err := time.Parse(time.RFC3339, in.time)
	if err != nil {
		return i18n.Errorf("--at takes a time as 2026-11-26T10:00:00+08:00, not %q", in.time)
	}
	in.now = now
	return nil
}

// recipe returns the scheme as the flags configure it.
func (in *input) recipe() (diagnosis.Recipe, error) {
	var r diagnosis.Recipe
	if err := in.readTime(); err != nil {
		return r, err
	}
	if in.recipes != "" {
		own, err := ReadRecipes(in.recipes)
		if err != nil {
			return r, err
		}
		r.Own = own
		if in.scheme == "" && len(own) == 1 {
			for name := range own {
				in.scheme = name
			}
		}
	}
	r.Scheme = in.scheme
	if in.scheme == "" {
		return r, i18n.Errorf("--scheme is missing; known are %s", strings.Join(protocol.Names(r.Own), ", "))
	}
	for _, text := range in.settings {
		set, err := diagnosis.ParseSetting(text)
		if err != nil {
			return r, err
		}
		r.Settings = append(r.Settings, set)
	}
	return r, nil
}

// keySet loads the key set that the flags name for a message.
func (in *input) keySet(ctx context.Context, m *message.Message) (*keys.Set, error) {
	if in.keys == "" {
		return nil, i18n.Errorf("--keys is missing; give the folder that holds the key sets, such as keys-dev/merchant")
	}
	if in.reference == "" {
		return nil, i18n.Errorf("--ref is missing; give the reference of the key set, such as easypay/ORG000000000007")
	}
	template, err := keys.ParseTemplate(in.reference)
	if err != nil {
		return nil, err
	}
	reference, ok := template.Resolve(func(member string) (string, bool) { return diagnosis.Member(m, member) })
	if !ok {
		return nil, i18n.Errorf("the reference %s names a member that the message does not have, or whose value cannot name a key set; give the reference itself", in.reference)
	}
	source := &file.Source{Dir: in.keys}
	if err := source.Probe(ctx); err != nil {
		return nil, err
	}
	set, err := source.Load(ctx, reference, nil)
	if err != nil {
		return nil, i18n.Errorf("loading the key set %q: %w", reference, err)
	}
	return set, nil
}

// read reads the file that the arguments name, or standard input.
func read(cmd *cobra.Command, args []string) ([]byte, error) {
	var from io.Reader
	if name := slices.Concat(args, []string{"-"})[0]; name == "-" {
		from = cmd.InOrStdin()
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, i18n.Errorf("reading the message: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, i18n.Errorf("reading the message: %w", err)
	}
	if len(text) > maxInput {
		return nil, i18n.Errorf("the message is larger than %d bytes", maxInput)
	}
	return text, nil
}

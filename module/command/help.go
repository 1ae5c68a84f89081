package command

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// speaksHelp makes a command and its subcommands print their help, and errors about
// flags and arguments, in the language of the terminal or of --lang. Until then their
// texts are English, because man pages are made of them.
func speaksHelp(cmd *cobra.Command, speak func() error) {
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if err := speak(); err != nil {
			cmd.PrintErrln(cmd.ErrPrefix(), err.Error())
			return
		}
		if i18n.Current() != i18n.English {
			translate(cmd)
		}
		cmd.Root().HelpFunc()(cmd, args)
	})
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if broken := speak(); broken != nil {
			return broken
		}
		return i18n.Errorf("%w; see: %s --help", flagError(err), cmd.CommandPath())
	})
	checkArguments(cmd, speak)
}

// flagError returns what pflag says of a flag, in every language.
func flagError(err error) error {
	var (
		unknown *pflag.NotExistError
		bare    *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return i18n.Errorf("unknown flag -%s", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		return i18n.Errorf("unknown flag --%s", unknown.GetSpecifiedName())
	case errors.As(err, &bare):
		return i18n.Errorf("the flag --%s needs a value", bare.GetFlag().Name)
	case errors.As(err, &invalid):
		return i18n.Errorf("the flag --%s does not take the value %q", invalid.GetFlag().Name, invalid.GetValue())
	}
	return err
}

// checkArguments makes a command and its subcommands report their usage if the number
// of arguments is wrong, and the flags that are missing.
func checkArguments(cmd *cobra.Command, speak func() error) {
	for _, sub := range cmd.Commands() {
		checkArguments(sub, speak)
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := speak(); err != nil {
				return err
			}
			if check(cmd, args) == nil {
				return missingFlags(cmd)
			}
			return i18n.Errorf("wrong number of arguments: %d; write: %s", len(args), strings.TrimSuffix(cmd.UseLine(), " [flags]"))
		}
	}
}

// missingFlags names the required flags that are not there.
func missingFlags(cmd *cobra.Command) error {
	var missing []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if len(f.Annotations[cobra.BashCompOneRequiredFlag]) > 0 && !f.Changed {
			missing = append(missing, "--"+f.Name)
		}
	})
	if len(missing) == 0 {
		return nil
	}
	return i18n.Errorf("%s is missing; see: %s --help", strings.Join(missing, ", "), cmd.CommandPath())
}

// headings are the texts of cobra's own templates.
var headings = []i18n.Text{
	i18n.T("Usage:"), i18n.T("Available Commands:"), i18n.T("Global Flags:"), i18n.T("Flags:"),
	i18n.T("[command] --help\" for more information about a command."), i18n.T("Use \""),
	i18n.T("Full documentation is available at:"),
}

// translate puts the texts of a command's help into the language of the process.
func translate(cmd *cobra.Command) {
	for _, c := range append(cmd.Commands(), cmd) {
		c.Short, c.Long = i18n.Translate(c.Short), i18n.Translate(c.Long)
	}
	for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				f.Usage = i18n.Sprintf("help for %s", cmd.Name())
				return
			}
			f.Usage = i18n.Translate(f.Usage)
		})
	}
	var words []string
	for _, text := range headings {
		words = append(words, text.In(i18n.English), text.String())
	}
	heads := strings.NewReplacer(words...)
	cmd.SetUsageTemplate(heads.Replace(cmd.UsageTemplate()))
	cmd.SetHelpTemplate(heads.Replace(cmd.HelpTemplate()))
}

// Package command is `caddy countersign`: sealing and opening single messages,
// finding out why a signature fails, and checking a configuration before the
// first payment.
//
// The commands drive the same schemes as the sidecar does, on files instead of
// connections. They print no key, no secret and no token.
package command

import (
	"os"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/keyscmd"
	"github.com/countersign/caddy-countersign/module/i18n"
)

func init() {
	// The language until --lang sets another one, also for errors of Caddy's own
	// commands about a Caddyfile. A server that has started uses English.
	i18n.Use(i18n.FromEnvironment(os.Getenv))
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "countersign",
		Usage: "<command>",
		Short: "Seals, opens and diagnoses signed payment messages",
		Long: `Seals and opens single messages as the sidecar would, finds out why a signature
fails, and checks a configuration before the first payment.

A message is read from FILE; "-" or nothing is standard input.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(sealCommand(), openCommand(), diffCommand(), doctorCommand(), keyscmd.Command(), auditCommand(), recipeCommand())
			language := ""
			cmd.PersistentFlags().StringVar(&language, "lang", "", "the `language` of what is printed, en or zh (default: that of the terminal)")
			cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return speak(cmd, language) }
			speaksHelp(cmd, func() error { return speak(cmd, language) })
			explainGroup(cmd)
			for _, sub := range cmd.Commands() {
				if sub.HasSubCommands() {
					explainGroup(sub)
				}
			}
		},
	})
}

// explainGroup makes a command that only has subcommands print its help, and fail if
// the next word is none of them: a misspelt command in a script must not seem to
// succeed.
func explainGroup(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var known []string
		for _, sub := range cmd.Commands() {
			known = append(known, sub.Name())
		}
		return i18n.Errorf("unknown command %q; the commands are %s", args[0], strings.Join(known, ", "))
	}
}

// speak sets the language of everything that a command and those below it print: that
// of --lang, or else the terminal's.
func speak(cmd *cobra.Command, language string) error {
	l := i18n.Language(language)
	switch {
	case language == "":
		l = i18n.FromEnvironment(os.Getenv)
	case !l.Known():
		return i18n.Errorf("--lang is en or zh, not %q", language)
	}
	i18n.Use(l)
	cmd.SetErrPrefix(i18n.Sprintf("Error:"))
	return nil
}

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
	// Until --lang says otherwise, and for Caddy's own commands: why a Caddyfile is
	// refused. A server that has started goes on in English.
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
			cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return speak(language) }
			speaksHelp(cmd, func() error { return speak(language) })
			explainGroup(cmd)
			for _, sub := range cmd.Commands() {
				if sub.HasSubCommands() {
					explainGroup(sub)
				}
			}
		},
	})
}

// explainGroup has a command that only has commands under it print its help, and
// fail where the word behind it is none of them: a misspelt command in a script
// must not look as if it had run.
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

// speak chooses the language of everything that a command prints: what --lang says,
// or else the terminal's.
func speak(language string) error {
	l := i18n.Language(language)
	switch {
	case language == "":
		l = i18n.FromEnvironment(os.Getenv)
	case !l.Known():
		return i18n.Errorf("--lang is en or zh, not %q", language)
	}
	i18n.Use(l)
	return nil
}

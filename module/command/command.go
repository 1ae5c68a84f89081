// Package command is `caddy countersign`: sealing and opening single messages,
// finding out why a signature fails, and checking a configuration before the
// first payment.
//
// The commands drive the same schemes as the sidecar does, on files instead of
// connections. They print no key, no secret and no token.
package command

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/keyscmd"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "countersign",
		Usage: "<command>",
		Short: "Seals, opens and diagnoses signed payment messages",
		Long: `Seals and opens single messages as the sidecar would, finds out why a signature
fails, and checks a configuration before the first payment.

A message is read from FILE; "-" or nothing is standard input.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(sealCommand(), openCommand(), diffCommand(), doctorCommand(), keyscmd.Command(), auditCommand(), recipeCommand())
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return cmd.Help()
				}
				var known []string
				for _, sub := range cmd.Commands() {
					known = append(known, sub.Name())
				}
				return fmt.Errorf("there is no command %q; there are %s", args[0], strings.Join(known, ", "))
			}
		},
	})
}

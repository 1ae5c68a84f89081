package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/doctor"
	"github.com/countersign/caddy-countersign/module/keysource"
)

func doctorCommand() *cobra.Command {
	var config, adapter string
	var asJSON, online bool
	cmd := &cobra.Command{
		Use:   "doctor --config <file> [--adapter <name>] [--online] [--json]",
		Short: "Checks a configuration before the first payment",
		Long: `Checks what can be checked before the first payment: that the configuration
loads, the keys load and fit, nobody else can read or replace them, the admin
endpoint is closed, and what is on this machine can be reached. It starts and
changes nothing.

With --online it also asks what lies beyond this machine: it sends each upstream
one unsigned HEAD, verifies its certificate and compares the clocks, and asks a
Vault elsewhere for the keys. Without it, it says what it has left out.

The exit status is 1 if a check failed; warnings leave it 0. With --json the
findings are an array of objects with check, subject, status (ok, warning or
failure), reason and advice.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return errors.New("--config is missing; give the file that the sidecar runs with")
			}
			adapted, err := doctor.Adapt(config, adapter)
			if err != nil && !asJSON {
				return err
			}
			// A machine reads a mistake in the Caddyfile like any other finding.
			findings := []keysource.Finding{{Check: "configuration", Subject: config, Status: keysource.Failure, Reason: fmt.Sprint(err), Advice: "correct it; caddy validate says the same"}}
			if err == nil {
				findings = doctor.Examine(cmd.Context(), adapted, doctor.Options{Online: online})
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), findings)
			} else {
				err = writeTable(cmd.OutOrStdout(), findings)
			}
			return errors.Join(err, doctor.Err(findings))
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "the configuration `file`")
	cmd.Flags().StringVarP(&adapter, "adapter", "a", "", "the `name` of its adapter (default: caddyfile for a file that is called so)")
	cmd.Flags().BoolVar(&online, "online", false, "also ask what lies beyond this machine: upstreams, a Vault elsewhere")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func writeJSON(out io.Writer, findings []keysource.Finding) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(findings)
}

// writeTable writes a line for each finding, and one for what to do about it.
func writeTable(out io.Writer, findings []keysource.Finding) error {
	width := [2]int{}
	number := make(map[keysource.Status]int)
	for _, f := range findings {
		width[0], width[1] = max(width[0], columns(f.Check)), max(width[1], columns(f.Subject))
		number[f.Status]++
	}
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "%-8s %s %s %s\n", f.Status, padded(f.Check, width[0]), padded(f.Subject, width[1]), f.Reason)
		if f.Advice != "" {
			fmt.Fprintf(&text, "%-8s → %s\n", "", f.Advice)
		}
	}
	fmt.Fprintf(&text, "%d ok, %s, %s\n", number[keysource.OK], count(number[keysource.Warning], "warning"), count(number[keysource.Failure], "failure"))
	_, err := io.WriteString(out, text.String())
	return err
}

func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-columns(text)))
}

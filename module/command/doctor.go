package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/doctor"
	"github.com/countersign/caddy-countersign/module/i18n"
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
				return i18n.Errorf("--config is missing; give the file that the sidecar runs with")
			}
			adapted, err := doctor.Adapt(config, adapter)
			if err != nil && !asJSON {
				return err
			}
			// A machine reads a mistake in the Caddyfile like any other finding.
			findings := []keysource.Finding{{Check: "configuration", Subject: config, Status: keysource.Failure, Reason: fmt.Sprint(err), Advice: i18n.Sprintf("correct it; caddy validate says the same")}}
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
		width[0], width[1] = max(width[0], columns(shown(checks, f.Check))), max(width[1], columns(f.Subject))
		number[f.Status]++
	}
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "%s %s %s %s\n", padded(statuses[f.Status].String(), 8), padded(shown(checks, f.Check), width[0]), padded(f.Subject, width[1]), f.Reason)
		if f.Advice != "" {
			fmt.Fprintf(&text, "%-8s → %s\n", "", f.Advice)
		}
	}
	i18n.Fprintf(&text, "%d ok, %v, %v", number[keysource.OK], warnings(number[keysource.Warning]), failures(number[keysource.Failure]))
	text.WriteString("\n")
	_, err := io.WriteString(out, text.String())
	return err
}

// statuses and checks are what the table shows; the JSON has the same words in
// English always.
var statuses = map[keysource.Status]i18n.Text{keysource.OK: i18n.T("ok"), keysource.Warning: i18n.T("warning"), keysource.Failure: i18n.T("failure")}

var checks = texts(
	i18n.T("TLS"), i18n.T("TLS certificate"), i18n.T("admin endpoint"), i18n.T("arithmetic"), i18n.T("certificate"), i18n.T("client certificate"), i18n.T("clock"), i18n.T("configuration"), i18n.T("development keys"), i18n.T("file permissions"), i18n.T("guardrails"), i18n.T("key file"), i18n.T("key pair"), i18n.T("key size"), i18n.T("key source"), i18n.T("keys"), i18n.T("listener"), i18n.T("name"), i18n.T("roles"), i18n.T("routes"), i18n.T("sandbox"), i18n.T("scheme"), i18n.T("store"), i18n.T("upstream"), i18n.T("vault address"), i18n.T("vault login"), i18n.T("vault policy"),
)

func texts(all ...i18n.Text) map[string]i18n.Text {
	named := make(map[string]i18n.Text)
	for _, text := range all {
		named[text.In(i18n.English)] = text
	}
	return named
}

// shown returns what a table has for a word, or the word itself, as for an option's name.
func shown(named map[string]i18n.Text, word string) string {
	if text, ok := named[word]; ok {
		return text.String()
	}
	return word
}

func warnings(n int) i18n.Text {
	if n == 1 {
		return i18n.T("1 warning")
	}
	return i18n.T("%d warnings", n)
}

func failures(n int) i18n.Text {
	if n == 1 {
		return i18n.T("1 failure")
	}
	return i18n.T("%d failures", n)
}

func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-columns(text)))
}

package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/telemetry/auditchain"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit <command>",
		Short: "Works with the audit log",
	}
	cmd.AddCommand(auditVerifyCommand())
	return cmd
}

func auditVerifyCommand() *cobra.Command {
	var options auditchain.Options
	var state string
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Verifies that the chain of audit entries is whole",
		Long: `Verifies that audit entries, written with audit { chain }, are all there, in
order and unchanged. Files are what the log wrote and rotated, in any order, plain
or compressed with gzip; lines of other loggers are passed over.

It prints which entries are missing or were changed, and which entries are under
a checkpoint that a key has signed. Compare the fingerprint of that key with
"caddy countersign keys show", or give it with --key: a chain without a
checkpoint, or with one by another key, can have been made by anybody who can
write the files. What was cut off at the end, or added there, only shows with
--state, which names the file that holds the end of the chain.

The exit status is 1 if the chain is not whole.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if state != "" {
				var err error
				if options.End, err = auditchain.ReadState(state); err != nil {
					return err
				}
			}
			report, err := auditchain.Verify(files, options)
			if err != nil {
				return i18n.Errorf("verifying the audit log: %w", err)
			}
			writeAuditReport(cmd.OutOrStdout(), report)
			if !report.Whole() {
				return i18n.Errorf("the chain is not whole")
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&options.Keys, "key", nil, "the `fingerprint` of the key that signs checkpoints; may be repeated")
	cmd.Flags().StringVar(&state, "state", "", "the `file` that holds the end of the chain, as chain { state } names it: what was cut off at the end shows")
	cmd.Flags().Uint64Var(&options.From, "from", 1, "the `number` of the first entry, where older files were put away")
	return cmd
}

// writeAuditReport writes what was found, the verdict last.
func writeAuditReport(out io.Writer, r *auditchain.Report) {
	for _, f := range r.Files {
		if f.First == 0 {
			i18n.Fprintf(out, "%s: no chained entries\n", f.Name)
			continue
		}
		i18n.Fprintf(out, "%s: entries %d to %d\n", f.Name, f.First, f.Last)
	}
	for _, c := range r.Checkpoints {
		i18n.Fprintf(out, "%s:%d: checkpoint at %s: entries up to %d are signed by key %s (%s)\n", c.File, c.Line, c.Time, c.Seq, c.Key, c.Reference)
	}
	for _, f := range r.Faults {
		i18n.Fprintf(out, "broken: %s\n", f)
	}
	if !r.Whole() {
		return
	}
	i18n.Fprintf(out, "whole: %d entries, %d to %d", r.Entries, r.First, r.Last)
	switch covered := r.Covered(); {
	case covered == 0:
		i18n.Fprintf(out, "; no checkpoint signs them\n")
	case covered < r.Last:
		i18n.Fprintf(out, "; the last %d, up to %s, are not signed yet\n", r.Last-covered, r.LastTime)
	default:
		fmt.Fprintln(out)
	}
}

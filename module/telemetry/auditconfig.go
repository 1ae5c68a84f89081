package telemetry

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// AuditConfig is how audit entries are written.
type AuditConfig struct {
	// Writes an entry before the first byte of a request is sent, so that the log shows
	// a request during which the process was killed. Its message and its outcome are
	// "intent". Default: false, one entry when the exchange has ended.
	Intent bool `json:"intent,omitempty"`

	// Sends a request only after its entry was written, and otherwise answers
	// audit_unavailable. It includes intent. Default: false, a log that stalls or fails
	// delays no payment.
	Required bool `json:"required,omitempty"`

	// The largest number of entries that wait to be written. Entries beyond it are
	// lost, counted and reported on standard error. Default: 10000.
	Queue int `json:"queue,omitempty"`

	// Gives each entry seq, prev and hash, so that `caddy countersign audit
	// verify` finds entries that are missing or were changed. Default: none.
	Chain *ChainConfig `json:"chain,omitempty"`

	// The place of the block in the Caddyfile, as file:line, for errors of Provision.
	// Default: none.
	Line string `json:"line,omitempty"`
}

// ChainConfig is how audit entries are chained.
type ChainConfig struct {
	// The name of the key source for Reference. Default: the source without a
	// name.
	Source string `json:"source,omitempty"`

	// The reference of the key set whose role sign signs a checkpoint every
	// minute and at stop. Default: no checkpoints.
	Reference string `json:"reference,omitempty"`

	// The file that stores the end of the chain over restarts. No two processes can
	// share a file. Default: countersign/audit-chain in Caddy's data directory.
	State string `json:"state,omitempty"`
}

// ParseAudit parses the option audit of the global block. The dispenser stands
// before or at the word "audit". Syntax:
//
//	audit {
//	    intent
//	    required
//	    queue <entries>
//	    chain [[<source>] <key reference>] {
//	        state <file>
//	    }
//	}
func ParseAudit(d *caddyfile.Dispenser) (*AuditConfig, error) {
	if d.Val() != "audit" {
		d.Next()
	}
	a := &AuditConfig{Line: fmt.Sprintf("%s:%d", d.File(), d.Line())}
	if d.NextArg() {
		return nil, d.WrapErr(i18n.Errorf("%s takes a block, and no value", "audit"))
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return nil, d.WrapErr(i18n.Errorf("audit: %s is given twice", option))
		}
		seen[option] = true
		args := d.RemainingArgs()
		switch {
		case option == "intent" && len(args) == 0:
			a.Intent = true
		case option == "required" && len(args) == 0:
			a.Required = true
		case option == "queue" && len(args) == 1:
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return nil, d.WrapErr(i18n.Errorf("audit: queue takes a number of entries from 1, not %q", args[0]))
			}
			a.Queue = n
		case option == "chain" && len(args) <= 2:
			a.Chain = new(ChainConfig)
			switch len(args) {
			case 1:
				a.Chain.Reference = args[0]
			case 2:
				a.Chain.Source, a.Chain.Reference = args[0], args[1]
			}
			if err := a.Chain.parseBlock(d); err != nil {
				return nil, err
			}
		case option == "intent" || option == "required" || option == "queue" || option == "chain":
			return nil, d.WrapErr(i18n.Errorf("audit: wrong number of arguments for %s", option))
		default:
			return nil, d.WrapErr(i18n.Errorf("audit: unknown option %q; it has intent, required, queue and chain", option))
		}
	}
	return a, nil
}

func (c *ChainConfig) parseBlock(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "state" {
			return d.WrapErr(i18n.Errorf("audit: unknown option %q of chain; it has state", d.Val()))
		}
		if !d.AllArgs(&c.State) {
			return d.WrapErr(i18n.Errorf("audit: state takes one file"))
		}
	}
	return nil
}

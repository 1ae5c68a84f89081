package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
)

// printer prints tables. Every figure has its unit in its column's head.
type printer struct {
	w   *tabwriter.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// title begins a table: what came before is aligned by itself.
func (p *printer) title(text string, heads ...string) {
	if p.err == nil {
		p.err = p.w.Flush()
	}
	p.line("%s\n", text)
	p.line("%s\t", strings.Join(heads, "\t"))
}

// explain ends a table with what its columns mean.
func (p *printer) explain(text string) {
	if p.err == nil {
		p.err = p.w.Flush()
	}
	p.line("\n%s\n", text)
}

func (p *printer) exchanges(rows []row) {
	p.title("Exchanges: medians over the rounds",
		"flavour", "keys", "target", "conn", "KiB", "req/s", "p50 µs", "p99 µs", "CPU µs/req", "allocs/req", "RSS MiB",
		"crypto µs/req", "CPU x plain", "CPU x floor", "p99 x floor", "budget")
	for _, r := range rows {
		if r.Arrangement == transit {
			continue
		}
		p.line("%s\t%s\t%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%s\t",
			r.Flavour, r.Arrangement, r.Target, r.Connections, r.KiB, r.Requests, r.P50, r.P99, r.CPU, r.Allocs, r.Resident,
			r.Crypto, r.ToPlain, r.ToFloor, r.P99Floor, cmp.Or(r.Budget, "-"))
	}
	p.explain("crypto: the bare operations that the exchange cannot do without. The floor of the CPU time is that of the plain\n" +
		"proxy (reverse_proxy) plus crypto; that of the p99 is the plain proxy's plus crypto for each connection, as one\n" +
		"core does them one after another. Ratios are taken within a round. Budget, at 16 connections and 1 KiB: CPU 1.25 x\n" +
		"plain with MD5 and HMAC, 1.30 with the audit entry, 1.15 x floor with RSA, and p99 1.5 x floor.")
}

func (p *printer) transit(rows []row) {
	begun := false
	for _, r := range rows {
		if r.Arrangement != transit {
			continue
		}
		if !begun {
			begun = true
			p.title("Vault Transit: medians over the rounds",
				"flavour", "target", "conn", "KiB", "req/s", "p50 µs", "p99 µs", "CPU µs/req", "allocs/req", "RSS MiB", "CPU x plain", "p50 x Vault + plain")
		}
		if r.Flavour == "-" {
			p.line("-\t%s\t%d\t-\t%.0f\t%.0f\t%.0f\t-\t-\t-\t-\t-\t", r.Target, r.Connections, r.Requests, r.P50, r.P99)
			continue
		}
		p.line("%s\t%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%.1f\t%.2f\t%.2f\t", r.Flavour, r.Target, r.Connections, r.KiB,
			r.Requests, r.P50, r.P99, r.CPU, r.Allocs, r.Resident, r.ToPlain, r.P50Vault)
	}
	if begun {
		p.explain("Vault signs, and its time is Vault's: \"Vault itself\" is the call with which the sidecar has a request signed,\n" +
			"driven alike. It shares a core with the load and the upstream. The last column is the p50 to the sum of Vault's and\n" +
			"the plain proxy's.")
	}
}

func (p *printer) arithmetic(all []signature) {
	p.title("The arithmetic itself: CPU time of one signature, medians over the rounds", "operation", "by", "µs/op", "x openssl")
	for _, s := range all {
		to := "-"
		if s.ToOpenSSL > 0 {
			to = fmt.Sprintf("%.2f", s.ToOpenSSL)
		}
		p.line("%s\t%s\t%.1f\t%s\t", s.Operation, s.By, s.Micros, to)
	}
	p.explain("By the key of the sidecar, with the digest of 1 KiB; openssl speed signs a digest that is there.")
}

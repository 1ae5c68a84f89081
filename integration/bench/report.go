package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// report is what was measured.
type report struct {
	Rows       []row          `json:"exchanges,omitempty"`
	Arithmetic []signature    `json:"arithmetic,omitempty"`
	Memory     *memoryReport  `json:"memory,omitempty"`
	Overload   []overloadCase `json:"overload,omitempty"`
	Notes      []string       `json:"notes,omitempty"` // what was not measured, and why
}

// row is one target under one load: medians over the rounds.
type row struct {
	Flavour     string      `json:"flavour"`
	Arrangement arrangement `json:"arrangement"`
	Target      string      `json:"target"`
	Connections int         `json:"connections"`
	KiB         int         `json:"kib"`
	figures
	Wanted string    `json:"wanted,omitempty"` // at 16 connections and 1 KiB
	Budget string    `json:"budget,omitempty"` // "met" or "missed", where something is wanted
	Rounds []figures `json:"rounds"`
}

func newRow(t *target, l load, rounds []figures) row {
	of := func(figure func(figures) float64) float64 { return medianOf(rounds, figure) }
	r := row{
		Target: t.name, Connections: l.connections, KiB: l.kib, Rounds: rounds,
		figures: figures{
			Requests: of(func(f figures) float64 { return f.Requests }),
			P50:      of(func(f figures) float64 { return f.P50 }),
			P99:      of(func(f figures) float64 { return f.P99 }),
			CPU:      of(func(f figures) float64 { return f.CPU }),
			Allocs:   of(func(f figures) float64 { return f.Allocs }),
			Resident: of(func(f figures) float64 { return f.Resident }),
			Crypto:   of(func(f figures) float64 { return f.Crypto }),
			ToPlain:  of(func(f figures) float64 { return f.ToPlain }),
			ToFloor:  of(func(f figures) float64 { return f.ToFloor }),
			P99Floor: of(func(f figures) float64 { return f.P99Floor }),
			P50Vault: of(func(f figures) float64 { return f.P50Vault }),
		},
	}
	if t.server == nil {
		r.Flavour, r.Arrangement = "-", transit
		return r
	}
	r.Flavour, r.Arrangement = t.server.flavour.name, t.server.arrangement
	if l == (load{16, 1}) {
		r.Wanted, r.Budget = budget(t, r.figures)
	}
	return r
}

// budget is what is wanted of a target at 16 connections and 1 KiB, and whether
// the figures are within it: "met" or "missed".
func budget(t *target, f figures) (wanted, verdict string) {
	met := f.P99Floor <= 1.5
	switch a := t.server.arrangement; {
	case !a.sidecar() || a == transit:
		return "", ""
	case t.rsa:
		wanted, met = "CPU 1.15 x floor, p99 1.5 x floor", met && f.ToFloor <= 1.15
	case a == audited:
		wanted, met = "CPU 1.30 x plain, p99 1.5 x floor", met && f.ToPlain <= 1.30
	default:
		wanted, met = "CPU 1.25 x plain, p99 1.5 x floor", met && f.ToPlain <= 1.25
	}
	if met {
		return wanted, "met"
	}
	return wanted, "missed"
}

// note notes what was not measured, and why.
func (r *report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	progress(format, args...)
}

// print prints the report in the form that is wanted.
func (r *report) print(out io.Writer, o options) error {
	switch {
	case o.json:
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case o.benchstat:
		return r.benchstat(out)
	default:
		return r.text(out)
	}
}

// text prints the report for people.
func (r *report) text(out io.Writer) error {
	p := &printer{w: tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)}
	if len(r.Rows) > 0 {
		p.exchanges(r.Rows)
		p.transit(r.Rows)
	}
	if len(r.Arithmetic) > 0 {
		p.arithmetic(r.Arithmetic)
	}
	if r.Memory != nil {
		p.memory(r.Memory)
	}
	if len(r.Overload) > 0 {
		p.overload(r.Overload)
	}
	for _, note := range r.Notes {
		p.line("%s", note)
	}
	if p.err == nil {
		p.err = p.w.Flush()
	}
	return p.err
}

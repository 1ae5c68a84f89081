package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// report is what was measured.
type report struct {
	Rows  []row      `json:"rows"`
	Floor floorTimes `json:"bare_operations_us"`
}

// row is one target under one load: medians over the rounds. Times are in
// microseconds, memory in KiB.
type row struct {
	Flavour     string  `json:"flavour"`
	Target      string  `json:"target"`
	Connections int     `json:"connections"`
	KiB         int     `json:"kib"`
	Requests    float64 `json:"requests_per_second"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	CPU         float64 `json:"cpu_us"`
	Allocs      float64 `json:"allocs"`
	Resident    int     `json:"resident_kib"`
	Crypto      float64 `json:"bare_crypto_us"`
	ToPlain     float64 `json:"ratio_to_plain"`
	ToFloor     float64 `json:"ratio_to_floor"`
}

// table prints the report for people.
func (r *report) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "flavour\ttarget\tconn\tKiB\treq/s\tp50 µs\tp99 µs\tCPU µs\tallocs\tRSS MiB\tcrypto µs\tto plain\tto floor\t")
	for _, row := range r.Rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%.1f\t%.1f\t%.2f\t%.2f\t\n",
			row.Flavour, row.Target, row.Connections, row.KiB, row.Requests, row.P50, row.P99, row.CPU, row.Allocs,
			float64(row.Resident)/1024, row.Crypto, row.ToPlain, row.ToFloor)
	}
	_ = w.Flush()
	_, _ = fmt.Fprintln(out, "\nThe floor is the CPU time of the plain proxy in the same round plus the bare cryptographic operations, measured at 1 KiB.")
}

// benchstat prints the report in the form of Go's benchmarks.
func (r *report) benchstat(out io.Writer) {
	for _, row := range r.Rows {
		name := strings.Map(func(c rune) rune {
			if c == ' ' || c == '(' || c == ')' {
				return -1
			}
			return c
		}, row.Target)
		_, _ = fmt.Fprintf(out, "BenchmarkExchange/%s/%s/conn=%d/kib=%d 1 %.0f cpu-ns/op %.0f p50-ns/op %.0f p99-ns/op %.1f allocs/op %.4f plain-ratio %.4f floor-ratio\n",
			row.Flavour, name, row.Connections, row.KiB, row.CPU*1000, row.P50*1000, row.P99*1000, row.Allocs, row.ToPlain, row.ToFloor)
	}
}

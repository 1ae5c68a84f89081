package main

import (
	"fmt"
	"io"
	"strings"
)

// benchstat prints the report in the form of Go's benchmarks, a line for each
// round, so that benchstat can tell a difference from noise.
func (r *report) benchstat(out io.Writer) error {
	var text strings.Builder
	line := func(name []string, figures ...any) {
		fmt.Fprintf(&text, "Benchmark%s 1", strings.Join(name, "/"))
		for i := 0; i < len(figures); i += 2 {
			fmt.Fprintf(&text, " %.4f %s", figures[i], figures[i+1])
		}
		text.WriteByte('\n')
	}
	for _, row := range r.Rows {
		name := []string{
			"Exchange", "flavour=" + word(row.Flavour), "keys=" + word(string(row.Arrangement)), "target=" + word(row.Target),
			fmt.Sprintf("conn=%d", row.Connections), fmt.Sprintf("kib=%d", row.KiB),
		}
		for _, f := range row.Rounds {
			all := []any{f.P50 * 1000, "p50-ns", f.P99 * 1000, "p99-ns", f.Requests, "req/s"}
			if f.CPU > 0 { // all but Vault itself
				all = append(all, f.CPU*1000, "cpu-ns/op", f.Allocs, "allocs/op", f.Resident*(1<<20), "resident-B", f.ToPlain, "x-plain")
			}
			if f.ToFloor > 0 { // all but Vault Transit
				all = append(all, f.ToFloor, "x-floor", f.P99Floor, "p99-x-floor")
			}
			line(name, all...)
		}
	}
	for _, s := range r.Arithmetic {
		for _, micros := range s.Rounds {
			line([]string{"Arithmetic", "operation=" + word(s.Operation), "by=" + word(s.By)}, micros*1000, "ns/op")
		}
	}
	if r.Memory != nil {
		for _, p := range r.Memory.Flat {
			line([]string{"MemoryFlat", fmt.Sprintf("requests=%d", p.Requests)}, p.Resident*(1<<20), "resident-B")
		}
		for _, l := range r.Memory.Large {
			line([]string{"MemoryLarge", "target=" + word(l.Target), fmt.Sprintf("inflight=%d", l.InFlight)},
				l.Growth*(1<<20), "growth-B", l.ToBound, "x-bound")
		}
	}
	for _, c := range r.Overload {
		line([]string{"Overload", fmt.Sprintf("max_in_flight=%d", c.MaxInFlight)}, c.Over.Answered, "req/s",
			c.Over.Share*100, "overloaded-%", c.Over.RejectP99*1000, "reject-p99-ns", c.RecoveredSeconds, "recovered-s", c.Resident.Peak*(1<<20), "peak-B")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// word is a name without blanks, as the names of benchmarks must be.
func word(name string) string { return strings.NewReplacer(",", "", " ", "-").Replace(name) }

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// report is all that was found.
type report struct {
	Machine  string    `json:"machine"`
	Rows     []row     `json:"rows,omitempty"`
	Speeds   []speed   `json:"signatures,omitempty"`
	Series   []series  `json:"series,omitempty"`
	Overload *overload `json:"overload,omitempty"`
	Notes    []string  `json:"notes,omitempty"`
}

// print writes the report as text.
func (r *report) print(w io.Writer) error {
	fmt.Fprintln(w, r.Machine)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.Rows) > 0 {
		fmt.Fprintf(t, "\n%d connections, bodies of %d KiB\n\n", typical.connections, typical.kib)
		fmt.Fprintln(t, "\treq/s\tp50 ms\tp99 ms\tCPU µs\tx plain\tbare RSA µs\tx floor\tstart ms\tidle MiB\tloaded MiB\t")
		for _, m := range r.Rows {
			fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.0f\t%.2f\t%s\t%s\t%.0f\t%.0f\t%.0f\t\n", m.Name, m.Requests, m.P50/1000, m.P99/1000,
				m.CPU, m.ToPlain, dash("%.0f", m.Bare), dash("%.2f", m.ToFloor), m.Start, m.Idle, m.Loaded)
		}
		for _, line := range r.verdicts() {
			fmt.Fprintln(t, line)
		}
	}
	if len(r.Speeds) > 0 {
		fmt.Fprint(t, "\nOne signature, one verification\n\n\tsign µs\tverify µs\t\n")
		for _, s := range r.Speeds {
			fmt.Fprintf(t, "%s\t%s\t%s\t\n", s.Name, dash("%.0f", s.Sign), dash("%.0f", s.Verify))
		}
	}
	for _, s := range r.Series {
		fmt.Fprintf(t, "\n%s\n\n\t\treq/s\tp99 ms\tCPU µs\tx plain\tloaded MiB\t\n", s.Title)
		for _, p := range s.Points {
			for _, m := range p.Rows {
				fmt.Fprintf(t, "%d\t%s\t%.0f\t%.1f\t%.0f\t%.2f\t%.0f\t\n", p.X, m.Name, m.Requests, m.P99/1000, m.CPU, m.ToPlain, m.Loaded)
			}
		}
	}
	if o := r.Overload; o != nil {
		fmt.Fprintf(t, "\nhongwen, %s of twice what it carries\n\n", overloadSpan)
		fmt.Fprintf(t, "carried\t%.0f a second\t\noffered\t%.0f a second\t\n", o.Carried, o.Offered)
		fmt.Fprintf(t, "answered\t%.0f a second (%.0f %% of carried)\tp50 %.1f ms\tp99 %.1f ms\t\n", o.Answered, 100*o.Share, o.P50/1000, o.P99/1000)
		fmt.Fprintf(t, "refused\t%.0f a second\tp50 %.1f ms\tp99 %.1f ms\t\n", o.Refused, o.RefusedP50/1000, o.RefusedP99/1000)
		fmt.Fprintf(t, "gave up after %s\t%d\t\nfailed otherwise\t%d\t%s\t\n", patience, o.GaveUp, o.Failed, o.Example)
		fmt.Fprintf(t, "resident\t%.0f MiB\t\n%s\n", o.Resident, map[bool]string{true: "pass", false: "FAIL"}[o.Pass])
	}
	for _, n := range r.Notes {
		fmt.Fprintf(t, "\n%s\n", n)
	}
	return t.Flush()
}

func dash(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// verdicts set the figures beside what is wanted of them.
func (r *report) verdicts() (lines []string) {
	cpu, digest := make(map[string]float64), 0.0
	for _, m := range r.Rows {
		cpu[m.Name] = m.CPU
		if slices.Contains([]string{"sidecar, jeepay", "sidecar, hkrt", "sidecar, hbsk"}, m.Name) {
			digest = max(digest, m.ToPlain)
		}
	}
	say := func(what string, is, wanted float64) {
		lines = append(lines, fmt.Sprintf("%s: %.2f, at most %.2f is wanted: %s", what, is, wanted, map[bool]string{true: "met", false: "missed"}[is <= wanted]))
	}
	if digest > 0 {
		lines = append(lines, "")
		say("MD5 and HMAC, CPU to the plain proxy", digest, 1.30)
	}
	for _, scheme := range written {
		name := "sidecar, " + scheme
		if byGo := cpu[name+inGo]; byGo > 0 {
			say(scheme+", CPU under the recipe to the scheme in Go", cpu[name]/byGo, 1.10)
		}
	}
	ours := cpu["sidecar, hongwen, fast-rsa"]
	for _, other := range []string{"Node sidecar, hongwen", "Node in process, hongwen"} {
		if theirs := cpu[other]; ours > 0 && theirs > 0 {
			say("hongwen with fast-rsa, CPU to "+other, ours/theirs, 0.90)
		}
	}
	return lines
}

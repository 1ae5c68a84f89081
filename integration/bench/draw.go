package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Sizes of the picture, in pixels.
const (
	width   = 800
	barStep = 24
	labels  = 260 // width of the names
	chart   = 220 // height of a chart of growth
)

// colours differ for the colour-blind too (Okabe and Ito).
var colours = []string{"#7f7f7f", "#0072b2", "#d55e00"}

// draw makes an SVG: a bar for each program of the comparison, and a chart for
// each series.
func (r *report) draw() string {
	var s strings.Builder
	top := 50
	most := 0.0
	for _, m := range r.Rows {
		most = max(most, m.CPU)
	}
	for _, m := range r.Rows {
		kind, _, _ := strings.Cut(m.Name, ",")
		colour := (slices.Index([]string{"Caddy", "sidecar"}, kind) + 3) % 3 // 2 for all others
		length := m.CPU / most * (width - labels - 120)
		text(&s, labels-8, top+14, "end", m.Name)
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="%.1f" height="16" fill="%s"/>`+"\n", labels, top+1, length, colours[colour])
		text(&s, labels+int(length)+6, top+14, "start", fmt.Sprintf("%.0f µs (%.2f)", m.CPU, m.ToPlain))
		top += barStep
	}
	for _, one := range r.Series {
		top += 50
		one.draw(&s, top)
		top += chart + 20
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n"+`<rect width="100%%" height="100%%" fill="white"/>`+"\n", width, top+30) +
		`<text x="20" y="28" font-size="16">CPU time of an exchange, and its ratio to a plain reverse_proxy</text>` + "\n" + s.String() + "</svg>\n"
}

// draw draws the CPU time of an exchange over what grows, both in logarithms.
func (s series) draw(w *strings.Builder, top int) {
	low, high := math.Inf(1), 0.0
	for _, p := range s.Points {
		for _, m := range p.Rows {
			low, high = min(low, m.CPU), max(high, m.CPU)
		}
	}
	first, last := float64(s.Points[0].X), float64(s.Points[len(s.Points)-1].X)
	x := func(v int) float64 { return 80 + share(float64(v), first, last)*(width-320) }
	y := func(v float64) float64 { return float64(top+chart-30) - share(v, low, high)*(chart-60) }
	text(w, 20, top, "start", "CPU µs of an exchange by: "+s.Title)
	for _, v := range []float64{low, high} {
		text(w, 70, int(y(v))+4, "end", fmt.Sprintf("%.0f", v))
	}
	for _, p := range s.Points {
		text(w, int(x(p.X)), top+chart-8, "middle", fmt.Sprint(p.X))
	}
	for i, m := range s.Points[0].Rows {
		var line strings.Builder
		for _, p := range s.Points {
			fmt.Fprintf(&line, "%.1f,%.1f ", x(p.X), y(p.Rows[i].CPU))
		}
		fmt.Fprintf(w, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.TrimSpace(line.String()), colours[i%len(colours)])
		text(w, width-225, int(y(s.Points[len(s.Points)-1].Rows[i].CPU))+4, "start", m.Name)
	}
}

// share says where v is between low and high in logarithms, from 0 to 1.
func share(v, low, high float64) float64 {
	if high <= low {
		return 0
	}
	return math.Log(v/low) / math.Log(high/low)
}

func text(w *strings.Builder, x, y int, anchor, what string) {
	fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(what))
}

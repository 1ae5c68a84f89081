package body_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/caddy-countersign/module/body"
)

// Handling a body must cost its length and no more: ns/byte is about the same
// for each size, and x-64KiB, which compares it with the smallest one's, about 1.

var largeSizes = []int{64 << 10, 256 << 10, 1 << 20, 4 << 20}

// shapes are bodies of about n bytes that differ in what grows.
var shapes = []struct {
	name string
	make func(n int) string
}{
	{"string", func(n int) string { return `{"id":"1","text":"` + strings.Repeat("分账0", n/7) + `"}` }},
	{"members", func(n int) string {
		var text strings.Builder
		text.WriteString(`{"id":"1"`)
		for i := 0; text.Len() < n; i++ {
			fmt.Fprintf(&text, `,"m%07d":"10.00"`, i)
		}
		return text.String() + "}"
	}},
	{"list", func(n int) string {
		return `{"id":"1","list":[` + strings.Repeat(`{"receiver":"800029","amount":0.01},`, n/36) + `0]}`
	}},
	{"depth", func(n int) string {
		nested := strings.Repeat("[", body.MaxDepth-2) + strings.Repeat("]", body.MaxDepth-2)
		return `{"id":"1","list":[` + strings.Repeat(nested+",", n/len(nested)) + `0]}`
	}},
}

func BenchmarkLargeParse(b *testing.B) {
	largeBenchmark(b, func(b *testing.B, text []byte) {
		if _, err := body.Parse(text); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkLargeEdits(b *testing.B) {
	largeBenchmark(b, func(b *testing.B, text []byte) {
		o, err := body.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		tree := body.NewTree(o)
		for name, value := range map[string]string{"version": "1.0", "id": "2", "sign": "00"} {
			if err := tree.SetString(body.Path{name}, value); err != nil {
				b.Fatal(err)
			}
		}
		if len(tree.Text()) <= len(text) {
			b.Fatal("nothing was added")
		}
	})
}

func largeBenchmark(b *testing.B, run func(b *testing.B, text []byte)) {
	for _, shape := range shapes {
		smallest := 0.0
		for _, size := range largeSizes {
			b.Run(fmt.Sprintf("%s/%dKiB", shape.name, size>>10), func(b *testing.B) {
				text := []byte(shape.make(size))
				for b.Loop() {
					run(b, text)
				}
				perByte := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(len(text))
				if size == largeSizes[0] && (smallest == 0 || perByte < smallest) {
					smallest = perByte
				}
				b.ReportMetric(perByte, "ns/byte")
				if smallest > 0 {
					b.ReportMetric(perByte/smallest, "x-64KiB")
				}
			})
		}
	}
}

package keys_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
)

// BenchmarkRingGet looks keys up among 1 set and among 1000: always the same one,
// and all of them in turn, which also shows what the processor's caches do.
// x-one compares a lookup with the fastest among a single set.
func BenchmarkRingGet(b *testing.B) {
	one := 0.0
	for _, c := range []struct {
		name        string
		sets, asked int
	}{
		{"sets=1", 1, 1},
		{"sets=1000/the-same", 1000, 1},
		{"sets=1000/in-turn", 1000, 1000},
	} {
		references := make([]string, c.sets)
		for i := range references {
			references[i] = fmt.Sprintf("easypay/ORG%012d", i)
		}
		ring := keys.NewRing(anySet{}, keys.Options{Name: "bench", Refresh: time.Hour, MaxStale: 24 * time.Hour})
		ring.Start()
		b.Cleanup(ring.Close)
		for _, reference := range references {
			_, err := ring.Get(b.Context(), reference)
			require.NoError(b, err)
		}
		b.Run(c.name, func(b *testing.B) {
			ctx := b.Context()
			i := 0
			for b.Loop() {
				if i += 37; i >= c.asked { // no neighbours
					i %= c.asked
				}
				if set, err := ring.Get(ctx, references[i]); err != nil || set.Reference != references[i] {
					b.Fatal(err)
				}
			}
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if c.sets == 1 && (one == 0 || each < one) {
				one = each
			}
			if one > 0 {
				b.ReportMetric(each/one, "x-one")
			}
		})
	}
}

// anySet is a source that has a set of every name.
type anySet struct{}

func (anySet) Load(_ context.Context, reference string, _ *keys.Set) (*keys.Set, error) {
	return &keys.Set{Reference: reference}, nil
}

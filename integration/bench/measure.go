package main

import (
	"context"
	"os/exec"
	"time"
)

// load is a load that targets are driven with.
type load struct{ connections, kib int }

func (o options) loads() []load {
	if !o.full {
		return []load{{16, 1}}
	}
	var all []load
	for _, connections := range []int{1, 16, 64} {
		for _, kib := range []int{1, 16, 256} {
			all = append(all, load{connections, kib})
		}
	}
	return all
}

// figures are what one round tells of one target. Times are in microseconds.
type figures struct {
	Requests float64 `json:"requests_per_second"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_us_per_request"`
	Allocs   float64 `json:"allocs_per_request"`
	Resident float64 `json:"resident_mib"`           // of the process that serves the target, at the end
	Crypto   float64 `json:"bare_crypto_us"`         // the operations that the exchange cannot do without
	ToPlain  float64 `json:"cpu_to_plain"`           // CPU time, to that of the plain proxy
	ToFloor  float64 `json:"cpu_to_floor"`           // CPU time, to that of the plain proxy and Crypto
	P99Floor float64 `json:"p99_to_floor"`           // p99, to that of the plain proxy and Crypto
	P50Vault float64 `json:"p50_to_vault_and_plain"` // p50, to those of Vault itself and the plain proxy
}

// measure drives all targets under all loads.
func (b *bench) measure(ctx context.Context) error {
	end := b.mark()
	defer end()
	for _, s := range b.servers {
		if err := b.startServer(ctx, s); err != nil {
			return err
		}
	}
	for i, l := range b.options.loads() {
		if err := b.rounds(ctx, l, i == 0); err != nil {
			return err
		}
	}
	if b.options.profile != "" {
		return b.profiles(ctx)
	}
	return nil
}

// rounds drives every target in turn, several times, and adds the medians to
// the report. The bare operations are measured beside them, and with the first load
// openssl's once in each round.
func (b *bench) rounds(ctx context.Context, l load, first bool) error {
	end := b.mark()
	defer end()
	floors, err := b.startFloors(ctx, l.kib)
	if err != nil {
		return err
	}
	all := make(map[*target][]figures)
	var bare []bareRound
	var order []*target
	for round := range b.options.rounds + 1 {
		span := b.options.span
		if round == 0 {
			span /= 4 // warms up, is not counted
		}
		r := bareRound{flavours: make(map[*flavour]floorTimes)}
		if _, err := exec.LookPath("openssl"); err == nil && first && round > 0 {
			if r.openssl, err = openssl(ctx); err != nil {
				return err
			}
		}
		samples, driven, err := b.round(ctx, l, span, floors)
		if err != nil {
			return err
		}
		for _, f := range b.flavours {
			r.flavours[f] = floors.of(f)
		}
		progress("%d connections, %d KiB: round %d of %d", l.connections, l.kib, round, b.options.rounds)
		if round == 0 {
			continue
		}
		order, bare = driven, append(bare, r)
		for _, t := range driven {
			all[t] = append(all[t], b.figures(t, samples, r, l))
		}
	}
	for _, t := range order {
		b.report.Rows = append(b.report.Rows, newRow(t, l, all[t]))
	}
	if first {
		b.report.Arithmetic = arithmetic(b.flavours, bare)
	}
	return nil
}

// parts is how many slices a round has.
const parts = 10

// round drives every target once, in slices, and measures the bare operations in
// each of them: when a neighbour slows the machine down, it slows down both.
func (b *bench) round(ctx context.Context, l load, span time.Duration, bare *floors) (map[*target]sample, []*target, error) {
	var order []*target
	for _, s := range b.servers {
		order = append(order, s.targets...)
	}
	if b.vault != nil {
		order = append(order, b.vault.target)
	}
	bare.begin()
	samples, err := driveInTurn(ctx, order, l, span, parts, bare.slice)
	return samples, order, err
}

// figures are the figures of a target in a round.
func (b *bench) figures(t *target, samples map[*target]sample, bare bareRound, l load) figures {
	s := samples[t]
	f := figures{
		Requests: float64(s.requests) / s.elapsed.Seconds(),
		P50:      us(s.p50),
		P99:      us(s.p99),
		Allocs:   s.allocs,
		Resident: float64(s.resident) / 1024,
	}
	if t.server == nil {
		return f
	}
	base := samples[b.base(t.server.flavour)]
	f.CPU = s.perRequest()
	f.Crypto = bare.flavours[t.server.flavour][t.operation]
	f.ToPlain = ratio(f.CPU, base.perRequest())
	if t.server.arrangement == transit {
		f.P50Vault = ratio(f.P50, us(samples[b.vault.target].p50)+us(base.p50))
		return f
	}
	f.ToFloor = ratio(f.CPU, base.perRequest()+f.Crypto)
	// One core does the cryptography of all connections, one after another.
	f.P99Floor = ratio(f.P99, us(base.p99)+float64(l.connections)*f.Crypto)
	return f
}

// perRequest is the CPU time of a request in microseconds.
func (s sample) perRequest() float64 { return ratio(us(s.cpu), float64(s.requests)) }

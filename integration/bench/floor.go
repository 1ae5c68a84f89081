package main

import (
	"context"
	"fmt"
)

// bareRSA measures on the measured core what an exchange with RSA needs at least,
// in microseconds of CPU time by operation: a signature and a verification, done
// with crypto/rsa and with openssl(1). Without openssl its times are 0. The
// encryption that easypay adds is not in it: a verification's worth.
func (b *bench) bareRSA(ctx context.Context, targets []*target) (map[string]float64, error) {
	found := make(map[string]float64)
	for _, t := range targets {
		name := t.operation()
		if _, done := found[name]; done || t.provider.rsaBits == 0 {
			continue
		}
		measure := b.goSpeed
		if t.bare == "openssl" {
			measure = b.opensslSpeed
		}
		var err error
		if found[name], err = measure(ctx, t.provider); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (b *bench) goSpeed(_ context.Context, p provider) (float64, error) {
	k, err := loadKeys(p.reference)
	if err != nil {
		return 0, err
	}
	s, err := b.speedOf(rsaPair(k.sign))
	return s.Sign + s.Verify, err
}

func (b *bench) opensslSpeed(ctx context.Context, p provider) (float64, error) {
	s, err := b.speedOfOpenSSL(ctx, fmt.Sprint("rsa", p.rsaBits))
	return s.Sign + s.Verify, err
}

package main

import "context"

// written are the schemes that integration/bench/handwritten has in Go too.
var written = []string{"jeepay", "hkrt", "hbsk"}

// inGo is what the name of a target with a scheme in Go ends in.
const inGo = " in Go"

// compareRecipes drives the sidecar under recipes, and under the same schemes written in Go.
func (b *bench) compareRecipes(ctx context.Context) error {
	const binary = "caddy-handwritten"
	if err := b.build(ctx, binary, "./integration/bench/handwritten", "CGO_ENABLED=0", ""); err != nil {
		return err
	}
	targets := []*target{b.newPlain()}
	for _, scheme := range written {
		byRecipe, byGo := b.newSidecar(scheme), b.newSidecar(scheme)
		byRecipe.command, byGo.command = b.caddy(binary), b.caddy(binary)
		byGo.name += inGo
		byGo.provider.scheme += "_go"
		targets = append(targets, byRecipe, byGo)
	}
	stop, err := b.start(ctx, targets...)
	if err != nil {
		return err
	}
	defer stop()
	b.report.Rows, err = b.drive(ctx, targets, typical, b.rounds)
	return err
}

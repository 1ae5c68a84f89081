// Command bench measures what the sidecar costs.
//
// It starts an upstream that answers with signed answers made beforehand, and
// one Caddy that serves a plain reverse_proxy and the sidecar with each scheme
// to it. It drives them in turn, round after round, with the same load, so that
// whatever else the machine does falls on all of them alike; what counts are
// the ratios. Caddy is pinned to one core, the load and the upstream to the
// others.
//
//	go run ./integration/bench            the short form, under five minutes
//	go run ./integration/bench -full      all: 1, 16 and 64 connections; bodies of 1, 16 and 256 KiB;
//	                                      Vault KV and Transit; overload; memory
//	go run ./integration/bench -json      the same as JSON
//	go run ./integration/bench -benchstat the same for benchstat
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options are the command's flags.
type options struct {
	full, json, benchstat, fastRSA bool
	rounds                         int
	span                           time.Duration
	only                           string
	profile                        string
}

func main() {
	var o options
	flag.BoolVar(&o.full, "full", false, "measure everything (about half an hour)")
	flag.BoolVar(&o.json, "json", false, "print JSON")
	flag.BoolVar(&o.benchstat, "benchstat", false, "print lines for benchstat")
	flag.BoolVar(&o.fastRSA, "fast-rsa", false, "measure the flavour of ./xcaddy.sh build --fast-rsa too")
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&o.span, "span", 1500*time.Millisecond, "how long each target is driven in a round")
	flag.StringVar(&o.only, "only", "", "targets, separated by commas (default: all)")
	flag.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles of each target to this folder")
	role := flag.String("role", "", "used by the command itself")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch *role {
	case "upstream":
		err = serveUpstream(ctx)
	case "floor":
		err = printFloor()
	default:
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and prints.
func run(ctx context.Context, o options) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("CPU time is read from /proc: the measurements need Linux")
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.measure(ctx); err != nil {
		return err
	}
	switch {
	case o.json:
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(b.report)
	case o.benchstat:
		b.report.benchstat(os.Stdout)
	default:
		b.report.table(os.Stdout)
	}
	return nil
}

func (o options) wants(name string) bool {
	if o.only == "" {
		return true
	}
	for want := range strings.SplitSeq(o.only, ",") {
		if want == name {
			return true
		}
	}
	return false
}

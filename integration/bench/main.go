// Command bench measures what the sidecar costs.
//
// It starts an upstream that answers with signed answers made beforehand, a
// Caddy with a plain reverse_proxy, another that collects garbage as seldom as the
// sidecar, and Caddys with the sidecar: with keys in files, with the
// audit entry written to a file, and with keys in a real Vault server. It drives
// them in turn, round after round, with the same load, so that whatever else the
// machine does falls on all of them alike; what counts are the ratios. Each Caddy
// is pinned to the same one core; the load, the upstream and Vault are on the
// others.
//
//	go run ./integration/bench             the short form, under five minutes
//	go run ./integration/bench -full       all: 1, 16 and 64 connections, bodies of 1, 16 and
//	                                       256 KiB, memory and overload (about an hour)
//	go run ./integration/bench -memory     memory only
//	go run ./integration/bench -overload   twice the load that can be carried, only
//	go run ./integration/bench -json       the same as JSON
//	go run ./integration/bench -benchstat  the same for benchstat, a line for each round
//
// README.md has the method and the figures of a run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command's flags.
type options struct {
	full, memory, overload bool
	json, benchstat        bool
	fastRSA, vault         bool
	rounds, port           int
	span                   time.Duration
	only                   string
	profile                string
}

func main() {
	var o options
	flag.BoolVar(&o.full, "full", false, "measure everything (about an hour)")
	flag.BoolVar(&o.memory, "memory", false, "measure memory over 100000 requests, and with large bodies, instead of time")
	flag.BoolVar(&o.overload, "overload", false, "measure twice the load that can be carried, instead of time")
	flag.BoolVar(&o.json, "json", false, "print JSON")
	flag.BoolVar(&o.benchstat, "benchstat", false, "print lines for benchstat")
	flag.BoolVar(&o.fastRSA, "fast-rsa", true, "measure the flavour of ./xcaddy.sh build --fast-rsa too")
	flag.BoolVar(&o.vault, "vault", true, "measure with keys in a real Vault server too")
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds, at least 1")
	flag.DurationVar(&o.span, "span", time.Second, "how long each target is driven in a round")
	flag.StringVar(&o.only, "only", "", "schemes, separated by commas: jeepay, hkrt, hbsk, easypay, jeepay-RSA2, hongwen (default: all)")
	flag.StringVar(&o.profile, "profile", "", "also write CPU and allocation profiles of each target to this folder")
	flag.IntVar(&o.port, "port", 23400, "first of the ports used on 127.0.0.1; about 80 from there on must be free")
	role := flag.String("role", "", "used by the command itself")
	kib := flag.Int("kib", 1, "used by the command itself")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch *role {
	case "upstream":
		err = serveUpstream(ctx, o.port)
	case "floor":
		err = answerFloor(*kib)
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
	if err := o.check(); err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	timing := !o.memory && !o.overload
	if timing {
		if err := b.measure(ctx); err != nil {
			return err
		}
	}
	if o.memory || o.full {
		if err := b.measureMemory(ctx); err != nil {
			return err
		}
	}
	if o.overload || o.full {
		if err := b.measureOverload(ctx); err != nil {
			return err
		}
	}
	return b.report.print(os.Stdout, o)
}

// check refuses what cannot be measured.
func (o options) check() error {
	if runtime.GOOS != "linux" {
		return errors.New("CPU time and memory are read from /proc: the measurements need Linux")
	}
	if _, err := os.Stat("keys-dev/merchant"); err != nil {
		return errors.New("run it from the top of the repository: go run ./integration/bench")
	}
	if o.port < 1024 || o.port > 32000 {
		return errors.New("-port must be between 1024 and 32000: below the ports that connections are made from")
	}
	if o.rounds < 1 || o.span <= 0 {
		return errors.New("-rounds and -span must be positive")
	}
	if o.full && (o.memory || o.overload) {
		return errors.New("-full includes -memory and -overload; leave them out")
	}
	if o.only == "" {
		return nil
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if !slices.ContainsFunc(providers(), func(p provider) bool { return p.name == name }) {
			return fmt.Errorf("-only names %q, which is no scheme of the bench", name)
		}
	}
	return nil
}

// wants tells whether a scheme is to be measured.
func (o options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

// Command soak puts the sidecar under mixed load while everything around it
// misbehaves, and then compares two ledgers: what was reported to the clients and
// what reached the providers.
//
//	go run ./integration/soak -for 30m
//
// It starts a real Vault, the built Caddy with three schemes whose keys are in
// that Vault (KV, and Transit for one of them), and providers that are written
// from the providers' side. While clients post and hang up, the providers fail
// at random, Vault is sealed, killed and restarted, keys rotate and Caddy
// reloads. At the end
//
//   - no request was sealed wrongly, and none was delivered twice;
//   - every not_sent was not sent;
//   - every ok was received once;
//   - every other is unknown or unverified;
//   - goroutines, descriptors and memory are back where they were.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	span := flag.Duration("for", 2*time.Minute, "how long the load runs")
	clients := flag.Int("clients", 12, "clients at once")
	seed := flag.Int64("seed", time.Now().UnixNano(), "of the random choices")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *span, *clients, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, span time.Duration, clients int, seed int64) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the soak reads /proc and needs Linux")
	}
	fmt.Printf("soak for %s with %d clients, seed %d\n", span, clients, seed)
	w, err := newWorld(ctx, seed)
	if err != nil {
		return err
	}
	defer w.close()

	before, err := w.settle(ctx)
	if err != nil {
		return err
	}
	fmt.Println("before:", before)

	loadCtx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	chaos := make(chan struct{})
	go func() {
		defer close(chaos)
		w.chaos(loadCtx)
	}()
	w.load(loadCtx, clients)
	<-chaos
	w.heal()
	if err := w.recovered(ctx); err != nil {
		return err
	}
	after, err := w.settle(ctx)
	if err != nil {
		return err
	}
	fmt.Println("after: ", after)
	w.ledger.print(os.Stdout)
	fmt.Print(w.events.String())
	return w.ledger.judge(before, after)
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// vitals are what a leak would show in.
type vitals struct {
	goroutines, descriptors, residentMiB int
}

func (v vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB resident", v.goroutines, v.descriptors, v.residentMiB)
}

// comparedTo complains where something has grown beyond what is still coming
// and going: idle connections, and memory that Go has not given back.
func (v vitals) comparedTo(before vitals) error {
	var wrong []error
	if v.goroutines > before.goroutines+20 {
		wrong = append(wrong, fmt.Errorf("goroutines have grown from %d to %d", before.goroutines, v.goroutines))
	}
	if v.descriptors > before.descriptors+20 {
		wrong = append(wrong, fmt.Errorf("descriptors have grown from %d to %d", before.descriptors, v.descriptors))
	}
	if v.residentMiB > before.residentMiB*2+64 {
		wrong = append(wrong, fmt.Errorf("memory has grown from %d to %d MiB", before.residentMiB, v.residentMiB))
	}
	return errors.Join(wrong...)
}

// settle sends a few hundred quiet exchanges over every scheme, waits until
// idle connections are gone, and takes the vitals.
func (w *world) settle(ctx context.Context) (vitals, error) {
	for range 100 {
		for _, s := range w.shops {
			if reported := w.pay(ctx, s, false); reported != "ok" {
				return vitals{}, fmt.Errorf("a quiet exchange of %s ended with %s", s.scheme, reported)
			}
		}
	}
	w.client.CloseIdleConnections()
	w.provider.CloseIdle()
	w.proxy.Drop()
	var v vitals
	for range 8 { // idle connections to Vault and the providers go by themselves
		time.Sleep(time.Second)
		now, err := w.vitals(ctx)
		if err != nil {
			return v, err
		}
		if now == v {
			break
		}
		v = now
	}
	return v, nil
}

func (w *world) vitals(ctx context.Context) (vitals, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(metricsPort)+"/metrics", nil)
	if err != nil {
		return vitals{}, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return vitals{}, err
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	var v vitals
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			v.goroutines, _ = strconv.Atoi(rest)
		}
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.caddy.Process.Pid))
	if err != nil {
		return v, err
	}
	v.descriptors = len(descriptors)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.caddy.Process.Pid))
	if err != nil {
		return v, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			v.residentMiB = kib >> 10
		}
	}
	return v, nil
}

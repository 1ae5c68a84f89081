// Command promql says what Prometheus and Grafana would make of scrapes of the sidecar:
// it evaluates alert rules and the queries of a dashboard with Prometheus' own engine.
// It is a separate Go module, so that nothing of Prometheus' server reaches the
// product.
//
// It reads a Question from standard input and writes an Answer.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

// Question is what to evaluate.
type Question struct {
	Rules     string   `json:"rules"`     // a file of alert rules
	Dashboard string   `json:"dashboard"` // a Grafana dashboard
	Scrapes   []Scrape `json:"scrapes"`   // in order
}

// Scrape is what the sidecar's /metrics showed at one moment.
type Scrape struct {
	At   float64 `json:"at"` // in seconds from the first
	Text string  `json:"text"`
}

// Answer is what came of it.
type Answer struct {
	Steps   []Step  `json:"steps"`   // for each scrape, evaluated right after it
	Queries []Query `json:"queries"` // of the dashboard
}

// Step is the state of all alerts after one scrape.
type Step struct {
	At      float64           `json:"at"`
	Firing  []string          `json:"firing"`  // such as CountersignKeysStale{source="default"}
	Summary map[string]string `json:"summary"` // of those that fire
}

// Query is one query of the dashboard.
type Query struct {
	Where  string `json:"where"`
	Expr   string `json:"expr"`
	Series int    `json:"series"` // the most that it selected after any scrape
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "promql:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var question Question
	if err := json.NewDecoder(os.Stdin).Decode(&question); err != nil {
		return fmt.Errorf("reading the question: %w", err)
	}
	answer, err := answer(ctx, question)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// origin is the time of the first scrape. Any will do.
var origin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return origin.Add(time.Duration(seconds * float64(time.Second))) }

func answer(ctx context.Context, question Question) (*Answer, error) {
	dir, err := os.MkdirTemp("", "promql")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return nil, fmt.Errorf("opening the storage: %w", err)
	}
	defer db.Close()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000_000, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})

	rules, err := readRules(question.Rules, engine, db)
	if err != nil {
		return nil, err
	}
	dashboard, err := readDashboard(question.Dashboard)
	if err != nil {
		return nil, err
	}
	out := &Answer{Queries: dashboard}
	for _, scrape := range question.Scrapes {
		if err := store(ctx, db, scrape); err != nil {
			return nil, err
		}
		step, err := rules.evaluate(ctx, scrape.At)
		if err != nil {
			return nil, err
		}
		out.Steps = append(out.Steps, *step)
		for i := range out.Queries {
			if err := out.Queries[i].evaluate(ctx, engine, db, scrape.At); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

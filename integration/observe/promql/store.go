package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/storage"
)

// store appends a scrape as Prometheus' own scraper does, under one target.
func store(ctx context.Context, to storage.Appendable, scrape Scrape) error {
	parser, err := textparse.New([]byte(scrape.Text), "text/plain; version=0.0.4", nil, textparse.ParserOptions{})
	if err != nil {
		return fmt.Errorf("reading a scrape: %w", err)
	}
	appender := to.Appender(ctx)
	for {
		kind, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return appender.Commit()
		}
		if err != nil {
			return fmt.Errorf("reading a scrape: %w", err)
		}
		if kind != textparse.EntrySeries {
			continue
		}
		var series labels.Labels
		parser.Labels(&series)
		series = labels.NewBuilder(series).Set("job", "countersign").Set("instance", "sidecar").Labels()
		_, _, value := parser.Series()
		if _, err := appender.Append(0, series, at(scrape.At).UnixMilli(), value); err != nil {
			return fmt.Errorf("storing %s: %w", series, err)
		}
	}
}

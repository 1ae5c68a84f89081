package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// variables are what Grafana would put in: all schemes and profiles, and the
// ranges of a dashboard of an hour.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$scheme", ".*", "$profile", ".*")

// labelValues is Grafana's own query for a variable.
var labelValues = regexp.MustCompile(`^label_values\((.*), *[a-z_]+\)$`)

// readDashboard finds the queries of a dashboard, those of its variables
// included.
func readDashboard(file string) ([]Query, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard: %w", err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Name       string `json:"name"`
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		return nil, fmt.Errorf("reading the dashboard: %w", err)
	}
	var out []Query
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			out = append(out, Query{Where: panel.Title, Expr: variables.Replace(target.Expr)})
		}
	}
	for _, variable := range dashboard.Templating.List {
		if found := labelValues.FindStringSubmatch(variable.Definition); found != nil {
			out = append(out, Query{Where: "variable " + variable.Name, Expr: variables.Replace(found[1])})
		}
	}
	for _, query := range out {
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(query.Expr); err != nil {
			return nil, fmt.Errorf("panel %q: %w", query.Where, err)
		}
	}
	return out, nil
}

func (q *Query) evaluate(ctx context.Context, engine *promql.Engine, from storage.Queryable, seconds float64) error {
	query, err := engine.NewInstantQuery(ctx, from, nil, q.Expr, at(seconds))
	if err != nil {
		return fmt.Errorf("panel %q: %w", q.Where, err)
	}
	defer query.Close()
	vector, err := query.Exec(ctx).Vector()
	if err != nil {
		return fmt.Errorf("panel %q: %w", q.Where, err)
	}
	q.Series = max(q.Series, len(vector))
	return nil
}

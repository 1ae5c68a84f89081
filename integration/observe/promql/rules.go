package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// alerts are alert rules as Prometheus runs them, "for" included.
type alerts struct {
	rules []*rules.AlertingRule
	query rules.QueryFunc
}

func readRules(file string, engine *promql.Engine, from storage.Queryable) (*alerts, error) {
	promParser := parser.NewParser(parser.Options{})
	groups, problems := rulefmt.ParseFile(file, false, model.UTF8Validation, promParser, slog.New(slog.DiscardHandler))
	if len(problems) > 0 {
		return nil, fmt.Errorf("reading the rules: %w", errors.Join(problems...))
	}
	out := &alerts{query: rules.EngineQueryFunc(engine, from)}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expr, err := promParser.ParseExpr(rule.Expr)
			if err != nil {
				return nil, fmt.Errorf("rule %s: %w", rule.Alert, err)
			}
			out.rules = append(out.rules, rules.NewAlertingRule(rule.Alert, expr, time.Duration(rule.For), time.Duration(rule.KeepFiringFor),
				labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations), labels.EmptyLabels(), "", true, slog.New(slog.DiscardHandler)))
		}
	}
	return out, nil
}

// evaluate evaluates every rule at one moment.
func (a *alerts) evaluate(ctx context.Context, seconds float64) (*Step, error) {
	step := &Step{At: seconds, Firing: []string{}, Summary: make(map[string]string)}
	for _, rule := range a.rules {
		if _, err := rule.Eval(ctx, 0, at(seconds), a.query, new(url.URL), 0); err != nil {
			return nil, fmt.Errorf("evaluating %s: %w", rule.Name(), err)
		}
		for _, alert := range rule.ActiveAlerts() {
			if alert.State != rules.StateFiring {
				continue
			}
			name := rule.Name() + labels.NewBuilder(alert.Labels).Del("alertname", "severity").Labels().String()
			step.Firing = append(step.Firing, name)
			step.Summary[name] = alert.Annotations.Get("summary")
		}
	}
	slices.Sort(step.Firing)
	return step, nil
}

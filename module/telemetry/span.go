package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const tracerName = "github.com/countersign/caddy-countersign"

// Span starts a span for a stage under the span of the request, where Caddy's
// tracing made one, and returns what ends it. The outcome is "" or "ok" for
// success and otherwise the code of the problem.
func Span(ctx context.Context, name string) (context.Context, func(outcome string)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(string) {}
	}
	ctx, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, name)
	return ctx, func(outcome string) {
		if outcome != "" && outcome != "ok" {
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}

package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const tracerName = "github.com/countersign/caddy-countersign"

// The spans.
const (
	SpanKeysLoad = "countersign.keys.load"
	SpanSeal     = "countersign.seal"
	SpanUpstream = "countersign.upstream"
	SpanOpen     = "countersign.open"
)

// Traced reports whether Caddy's tracing records a request.
func Traced(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

// Span starts a span for a stage under the span of the request, if Caddy's tracing made
// one, and returns the function that ends it. The outcome is "" or "ok" for success and
// otherwise the code of the problem. A span has the scheme, the profile and the
// outcome, and nothing of the message or of the key.
func (m *Meter) Span(ctx context.Context, name string) func(outcome string) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return func(string) {}
	}
	_, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, name, m.attributes)
	return func(outcome string) {
		if outcome == "" {
			outcome = "ok"
		}
		span.SetAttributes(attribute.String("countersign.outcome", outcome))
		if outcome != "ok" {
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}

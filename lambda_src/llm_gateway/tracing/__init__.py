"""Traces and metrics of requests by OpenTelemetry's protocol (OTLP), or traces alone to X-Ray's daemon."""

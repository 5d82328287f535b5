"""A run as JSON: what was done, what each figure measures, the figures by transport, and every request."""

from datetime import UTC, datetime
from typing import Any

from pulumi_llm.cli.load.figures import FIGURES, METHOD, Summary, errors_by_code, summarize
from pulumi_llm.cli.load.runner import LoadRun, Sample

VERSION = 1
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def as_json(run: LoadRun) -> dict[str, Any]:
    """Return the report. Times of requests are in seconds since the run began, figures in their units."""
    plan = run.plan
    return {
        "version": VERSION,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "endpoints": dict(plan.endpoints),
        "request": {"message": plan.message, **plan.options},
        "concurrency": plan.concurrency,
        "requests": plan.requests if plan.seconds is None else None,
        "duration": plan.seconds,
        "seconds": round(run.seconds, 3),
        "interrupted": run.interrupted,
        "ended_early": run.stopped,
        "waited_seconds": round(run.waited, 3),
        "method": METHOD,
        "figures": {figure.key: {"name": figure.name, "unit": figure.unit, "meaning": figure.meaning} for figure in FIGURES},
        "transports": {summary.transport: _summary(summary) for summary in summarize(run.samples, list(plan.endpoints))},
        "errors": [
            {"transport": name, "code": code, "count": count} for (name, code), count in errors_by_code(run.samples).items()
        ],
        "samples": [_sample(sample) for sample in sorted(run.samples, key=lambda sample: sample.started)],
    }


def _summary(summary: Summary) -> dict[str, Any]:
    quantiles = {
        figure.key: {name: _rounded(summary.quantile(figure, q)) for name, q in QUANTILES.items()} for figure in FIGURES
    }
    return {
        "complete": summary.complete,
        "failed": summary.failed,
        "reconnects": summary.reconnects,
        "output_tokens": summary.output_tokens,
        **quantiles,
    }


def _sample(sample: Sample) -> dict[str, Any]:
    answer = sample.answer
    figures = {figure.key: _rounded(figure.of(answer)) for figure in FIGURES} if answer is not None else {}
    tokens = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens} if answer is not None else {}
    failed = {"error": sample.error.code, "message": str(sample.error)} if sample.error is not None else {}
    ran = {"started": round(sample.started, 4), "seconds": round(sample.seconds, 4), "reconnects": sample.reconnects}
    return {"transport": sample.transport, **ran, **figures, **tokens, **failed}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

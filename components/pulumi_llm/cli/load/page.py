"""A run as one page of HTML, which needs nothing else: plots, tables, and what each figure measures."""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from pulumi_llm.cli.load import plots
from pulumi_llm.cli.load.display import notes
from pulumi_llm.cli.load.figures import FIGURES, METHOD, TITLES, TOTAL, summarize
from pulumi_llm.cli.load.runner import LoadRun


def page(run: LoadRun) -> str:
    """Return the page. It contains no API key."""
    plan = run.plan
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    amount = f"{plan.requests:,} requests over each transport" if plan.seconds is None else f"requests for {plan.seconds:g} s"
    targets = "".join(f"<dt>{TITLES[name]}</dt><dd><code>{escape(url)}</code></dd>" for name, url in plan.endpoints.items())
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(run))
    problems = f'<section><h2>Errors and notes</h2><ul class="problem">{said}</ul></section>' if said else ""
    meanings = "".join(f"<dt>{figure.name} ({figure.unit})</dt><dd>{escape(figure.meaning)}</dd>" for figure in FIGURES)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>pulumi-llm load</title><style>{style}</style></head><body><main>"
        f'<h1>Load over {", ".join(TITLES[name] for name in plan.endpoints)}</h1><p class="muted">{written} · '
        f"{amount}, {plan.concurrency} at once · {len(run.samples):,} ended in {run.seconds:,.1f} s</p>"
        f"<section><h2>Figures</h2><p class=muted>p50 / p95 of complete answers</p>{_table(run)}</section>"
        f"{problems}{_plots(run)}{_history(run)}"
        f"<section><h2>What each figure measures</h2><dl>{meanings}</dl>"
        f"<h2>How it was measured</h2><p>{escape(METHOD)}</p></section>"
        f"<section><h2>What was asked</h2><dl>{targets}<dt>Request</dt>"
        f"<dd><code>{escape(_request(run))}</code></dd></dl></section>"
        "</main></body></html>\n"
    )


def _table(run: LoadRun) -> str:
    head = "".join(f"<th scope=col>{figure.name}<br>{figure.unit}</th>" for figure in FIGURES)
    rows = ""
    for summary in summarize(run.samples, list(run.plan.endpoints)):
        cells = "".join(f"<td>{summary.both(figure)}</td>" for figure in FIGURES)
        name = f"{plots.mark(summary.transport)}{TITLES[summary.transport]}"
        rows += f"<tr><th scope=row>{name}</th><td>{summary.complete}</td><td>{summary.failed}</td>{cells}</tr>"
    return (
        "<div class=scroll tabindex=0 role=region aria-label=Figures><table><thead><tr><th scope=col>Transport</th>"
        f"<th scope=col>Complete</th><th scope=col>Failed</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _plots(run: LoadRun) -> str:
    summaries = summarize(run.samples, list(run.plan.endpoints))
    made = ""
    for figure in FIGURES:
        values = {summary.transport: summary.values[figure.key] for summary in summaries}
        made += f"<h3>{figure.name} ({figure.unit})</h3>{plots.distribution(figure, values)}"
    caption = "A mark is an answer; the box reaches from p25 to p75; the line is the median, the dashed line p95."
    return f'<section><h2>Distribution</h2><p class="muted">{caption}</p>{made}</section>'


def _history(run: LoadRun) -> str:
    names = list(run.plan.endpoints)
    points = {
        name: [(s.started, s.answer.seconds * 1000) for s in run.samples if s.transport == name and s.answer is not None]
        for name in names
    }
    failures = {name: [s.started for s in run.samples if s.transport == name and s.error is not None] for name in names}
    legend = "".join(f"<span>{plots.mark(name)}{TITLES[name]}</span>" for name in names)
    caption = f"{TOTAL.name} of each answer by the time its request was sent; crosses are requests that failed."
    plot = plots.history(f"{TOTAL.name} over the run", TOTAL.unit, points, failures)
    return f'<section><h2>Over the run</h2><p class="muted">{caption}</p><p class="legend">{legend}</p>{plot}</section>'


def _request(run: LoadRun) -> str:
    shown = {"message": run.plan.message, **run.plan.options}
    return ", ".join(f"{name}: {value}" for name, value in shown.items())

"""Shows a run: a live table on a terminal, else a line now and then."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pulumi_llm.cli.load.figures import FIGURES, TITLES, errors_by_code, summarize
from pulumi_llm.cli.load.runner import LoadRun

_REFRESH_PER_SECOND = 4
_LINE_SECONDS = 5.0


@contextmanager
def shown(run: LoadRun, console: Console) -> Generator[None]:
    """Show how the run comes along while the context lasts."""
    if not console.is_terminal:
        last = time.monotonic()

        def line(run: LoadRun) -> None:
            nonlocal last
            if time.monotonic() - last >= _LINE_SECONDS:
                last = time.monotonic()
                console.out(_progress(run), highlight=False)

        run.changed = line
        yield
        return
    live = Live(console=console, refresh_per_second=_REFRESH_PER_SECOND, transient=True, get_renderable=lambda: _screen(run))
    with live:
        yield


def _screen(run: LoadRun) -> Group:
    plan = run.plan
    done, total = (len(run.samples), plan.total) if plan.seconds is None else (min(run.seconds, plan.seconds), plan.seconds)
    return Group(ProgressBar(total, done, width=60), Text(_progress(run)), table(run))


def _progress(run: LoadRun) -> str:
    failed = sum(sample.error is not None for sample in run.samples)
    of = f" of {run.plan.total}" if run.plan.seconds is None else ""
    return f"{len(run.samples)}{of} requests ended, {failed} failed, {run.seconds:.0f} s"


def table(run: LoadRun) -> Table:
    """The figures so far, a column for each transport."""
    made = Table(show_edge=False, pad_edge=False)
    made.add_column("p50 / p95 of complete answers")
    summaries = summarize(run.samples, list(run.plan.endpoints))
    for summary in summaries:
        made.add_column(TITLES[summary.transport], justify="right")
    for figure in FIGURES:
        made.add_row(f"{figure.name} ({figure.unit})", *(summary.both(figure) for summary in summaries))
    made.add_row("Complete", *(str(summary.complete) for summary in summaries))
    made.add_row("Failed", *(str(summary.failed) for summary in summaries))
    return made


def notes(run: LoadRun) -> list[str]:
    """What the table does not say: errors, lost connections, waits, and why the run ended early."""
    found = [f"{TITLES[name]}: {count} × {code}" for (name, code), count in errors_by_code(run.samples).items()]
    shown: set[str] = set()
    for sample in run.samples:  # the first error of each code, whole
        if sample.error is not None and sample.error.code not in shown:
            shown.add(sample.error.code)
            found.append(str(sample.error))
    for summary in summarize(run.samples, list(run.plan.endpoints)):
        if summary.reconnects:
            found.append(f"{TITLES[summary.transport]}: {summary.reconnects} lost connections were opened again")
    if run.waited:
        found.append(f"throttled: users waited {run.waited:,.0f} s in all, as the service asked")
    if run.interrupted:
        found.append("interrupted: the requests under way are not counted")
    if run.stopped:
        found.append(f"ended early: {run.stopped}")
    return found

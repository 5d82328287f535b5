"""Plots as inline SVG: no script, no style of its own; the page's style gives the colours.

Each transport has a colour and a mark of its own, as on the web client's page.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from pulumi_llm.cli.load.figures import TITLES, Figure, quantile
from pulumi_llm.cli.transports import TransportName

_WIDTH = 640
_LEFT, _RIGHT = 92, 24
_ROW = 44
_AXIS = 30
_HISTORY = 200
_TICKS = 6

Points = Sequence[tuple[float, float]]


def distribution(figure: Figure, values: Mapping[TransportName, Sequence[float]]) -> str:
    """A row for each transport: a dot for each answer, a box from p25 to p75, a line at the median and one at p95."""
    rows = {name: numbers for name, numbers in values.items() if numbers}
    if not rows:
        return "<p>There are no such values.</p>"
    ticks = _ticks(max(max(numbers) for numbers in rows.values()))
    place = _scale(ticks[-1], _LEFT, _WIDTH - _RIGHT)
    height = _ROW * len(rows) + _AXIS
    parts = [_vertical_axis(ticks, place, height - _AXIS, figure.unit)]
    spoken: list[str] = []
    for index, (name, numbers) in enumerate(rows.items()):
        middle = index * _ROW + _ROW / 2
        low, median, high, late = ((quantile(numbers, q) or 0.0) for q in (0.25, 0.5, 0.75, 0.95))
        spoken.append(f"{TITLES[name]}: median {figure.text(median)}, p95 {figure.text(late)} {figure.unit}")
        parts += [
            f'<g class="{name}"><text class="name" x="{_LEFT - 12}" y="{middle + 4:.1f}">{TITLES[name]}</text>',
            f'<rect class="box" x="{place(low):.1f}" y="{middle - 13:.1f}" width="{max(1, place(high) - place(low)):.1f}"',
            ' height="26" rx="3"/>',
            *(_mark(name, place(value), middle + _spread(number)) for number, value in enumerate(numbers)),
            f'<path class="median" d="M{place(median):.1f} {middle - 15:.1f}v30"/>',
            f'<path class="late" d="M{place(late):.1f} {middle - 9:.1f}v18"/></g>',
        ]
    return _svg(height, f"{figure.name}. {'; '.join(spoken)}.", parts)


def history(
    title: str, unit: str, points: Mapping[TransportName, Points], failures: Mapping[TransportName, Sequence[float]]
) -> str:
    """Each answer by the time at which its request was sent; crosses at the foot are requests that failed."""
    every = [point for each in points.values() for point in each]
    failed = [at for each in failures.values() for at in each]
    if not every and not failed:
        return "<p>There are no requests.</p>"
    across = _ticks(max([at for at, _ in every] + failed + [1.0]))
    up = _ticks(max([value for _, value in every] + [1.0]))
    x = _scale(across[-1], _LEFT, _WIDTH - _RIGHT)
    y = _scale(up[-1], _HISTORY, 12)
    parts = [_vertical_axis(across, x, _HISTORY, "s")]
    parts += [
        f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text class="tick end" x="{_LEFT - 8}" y="{y(tick) + 4:.1f}">{_number(tick)}</text>'
        for tick in up
    ]
    parts.append(f'<text class="tick end" x="{_LEFT - 48}" y="{y(up[-1]) + 4:.1f}">{escape(unit)}</text>')
    parts += [
        f'<g class="{name}">{"".join(_mark(name, x(at), y(value)) for at, value in each)}</g>' for name, each in points.items()
    ]
    parts += [
        f'<g class="failed">{"".join(f"""<path d="M{x(at) - 4:.1f} {_HISTORY - 8}l8 8m0 -8l-8 8"/>""" for at in each)}</g>'
        for each in failures.values()
        if each
    ]
    counts = ", ".join(f"{TITLES[name]} {len(each)}" for name, each in points.items())
    return _svg(_HISTORY + _AXIS, f"{title}. Answers: {counts}; failed: {len(failed)}.", parts)


def mark(name: TransportName) -> str:
    """The mark of a transport alone, for a legend."""
    return f'<svg class="{name}" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">{_mark(name, 6, 6)}</svg>'


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    view = f'viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(label)}"'
    # On a phone it is scrolled, because its text would become too small.
    return f'<div class="scroll plot" tabindex="0" role="group" aria-label="Plot"><svg {view}>{"".join(parts)}</svg></div>'


def _mark(name: TransportName, x: float, y: float) -> str:
    match name:
        case TransportName.REST:
            return f'<rect class="mark" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
        case TransportName.SSE:
            return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>'
        case TransportName.WS:
            return f'<path class="mark" d="M{x:.1f} {y - 4:.1f}l4 7h-8z"/>'


def _spread(number: int) -> float:
    """Move the marks of a row apart: evenly, and the same each time."""
    return ((number * 0.618034) % 1 - 0.5) * 20


def _scale(maximum: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * value / maximum


def _ticks(maximum: float) -> list[float]:
    """Round numbers from 0 to at least `maximum`."""
    rough = max(maximum, 1e-9) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [step * number for number in range(math.ceil(maximum / step - 1e-9) + 1)]


def _vertical_axis(ticks: Sequence[float], place: Callable[[float], float], height: float, unit: str) -> str:
    lines = "".join(
        f'<path class="grid" d="M{place(tick):.1f} 0V{height:g}"/>'
        f'<text class="tick" x="{place(tick):.1f}" y="{height + 16:g}">{_number(tick)}</text>'
        for tick in ticks
    )
    return f'{lines}<text class="tick end" x="{_LEFT - 12}" y="{height + 16:g}">{escape(unit)}</text>'


def _number(value: float) -> str:
    return f"{value:,.10g}"

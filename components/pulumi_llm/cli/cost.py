"""`pulumi-llm cost`: what a stack costs, computed from its program before anything is deployed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from pulumi_llm.cli.given import ConfigOption, InvokeOption, OutputOption, StackOption, fail, read_config, read_given
from pulumi_llm.cost.chats import Chat
from pulumi_llm.cost.estimate import Component, Estimate, estimate

if TYPE_CHECKING:
    from pulumi_llm_local.program.given import Given


def run(
    directory: Annotated[str, typer.Argument(help="The folder of the Pulumi program, in Python.")] = ".",
    stack: StackOption = "dev",
    config: ConfigOption = None,
    output: OutputOption = None,
    invoke: InvokeOption = None,
    input_tokens: Annotated[int, typer.Option(help="The tokens that a chat sends to the model.", min=0)] = Chat().input_tokens,
    output_tokens: Annotated[int, typer.Option(help="The tokens that it answers.", min=0)] = Chat().output_tokens,
    seconds: Annotated[float, typer.Option(help="How long the answer takes, in seconds.", min=0)] = Chat().seconds,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, with each resource and the page of each price.")] = False,
) -> None:
    """Compute what a stack costs: a month while idle, by use, for the tokens of its models, and for a thousand chats.

    \f
    The exit code is 1 if the program cannot be evaluated, and 2 if an option is wrong. What has no price is listed, and is in
    no sum.
    """
    try:
        from pulumi_llm_local.program.graph import GraphError
    except ImportError as error:
        fail(f"the costs need more packages ({error.name} is missing): pip install 'pulumi-llm[local]'", 1)
    problems: list[str] = []
    overrides, given = read_config(config or [], problems), read_given(output or [], invoke or [], problems)
    if problems:
        fail("\n".join(problems), 2)
    chat = Chat(input_tokens, output_tokens, seconds)
    try:
        found = estimate_program(Path(directory).resolve(), stack, overrides, given, chat)
    except GraphError as error:
        fail(str(error), 1)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _show(found, stack, chat)


def estimate_program(directory: Path, stack: str, overrides: Mapping[str, Any], given: "Given", chat: Chat) -> Estimate:
    """Evaluate a program, and compute what it costs. Raises `GraphError`."""
    from pulumi_llm.base.bundle import TARGET_VARIABLE
    from pulumi_llm_local.program import graph
    from pulumi_llm_local.program.routes import routes_documents

    environment = {**os.environ, TARGET_VARIABLE: "host"}
    found = graph.load(directory, stack, overrides, seed="cost", environment=environment, given=given)
    return estimate(found.resources, routes_documents(found), found.region, chat)


def summary(found: Estimate) -> str:
    """The costs in one line."""
    not_priced = f"; {len(found.not_priced)} resources are not priced" if found.not_priced else ""
    return f"idle, the stack costs {_month(found)} a month (prices of {found.prices_of}){not_priced}"


def _month(found: Estimate) -> str:
    least, most = found.idle_usd_month_least, found.idle_usd_month_most
    return f"${least:,.2f}" + (f" to ${most:,.2f}" if most > least else "")


# The tables


def _show(found: Estimate, stack: str, chat: Chat) -> None:
    typer.echo(f"The stack {stack}: {_month(found)} a month while idle. All prices are US dollars.")
    size = f"{chat.input_tokens:,} tokens in, {chat.output_tokens:,} out, {chat.seconds:g} s"
    typer.echo(f"Chats are a thousand of {size} each.")
    console = Console(width=None if Console().is_terminal else 140)
    for table in (
        _component_table(found),
        _idle_table(found),
        _unit_table(found),
        _model_table(found),
        _not_priced_table(found),
    ):
        if table.row_count:
            console.print()
            console.print(table)
    checked = f"{found.prices_checked_from} to {found.prices_checked_to}"
    notes = [
        f"Prices of {found.prices_of}, on demand, compared with AWS's list from {checked}.",
        "Free tiers, discounts and taxes are not counted.",
        *([f"The stack is in {found.region}, where prices may differ."] if found.region != found.prices_of else []),
        *(f"{title}: {doubt}." for title, doubt in found.doubts.items()),
    ]
    typer.echo("\n" + "\n".join(notes))


def _table(title: str, *heads: str, right: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", overflow="fold")
    return table


def _component_table(found: Estimate) -> Table:
    table = _table(
        "Components: a month while idle, and what chats cost besides their models",
        *("component", "idle", "at most", "chats", "most of that"),
        right=("idle", "at most", "chats"),
    )
    for each in found.components:
        least, most = each.idle_usd_month_least, each.idle_usd_month_most
        parts = sorted(each.chat_parts.items(), key=lambda part: -part[1])
        table.add_row(
            _name(each.component),
            f"{least:,.2f}",
            f"{most:,.2f}" if most > least else "",
            _number(each.usd_per_thousand_chats) if parts else "",
            ", ".join(f"{title} {_number(usd)}" for title, usd in parts[:2]),
        )
    return table


def _idle_table(found: Estimate) -> Table:
    table = _table("Idle", "component", "resource", "charge", "$ a month", "at most", "", right=("$ a month", "at most"))
    for component in dict.fromkeys(each.component for each in found.idle):
        for each in (each for each in found.idle if each.component == component):
            least, most = each.usd_month_least, each.usd_month_most
            more = f"{most:,.2f}" if most > least else ""
            table.add_row(_name(component), each.resource, each.charge, f"{least:,.2f}", more, each.note)
    return table


def _unit_table(found: Estimate) -> Table:
    table = _table("By use", "charge", "$", "for", "used by", right=("$",))
    for charge in dict.fromkeys(each.charge for each in found.unit_prices):
        same = [each for each in found.unit_prices if each.charge == charge]
        price = same[0]
        unit = f"{price.each:,} {price.unit}" if price.each > 1 else f"a {price.unit}"
        used_by = ", ".join(_some(each.resources) for each in same)
        table.add_row(charge, _number(price.usd), unit, used_by)
    return table


def _model_table(found: Estimate) -> Table:
    table = _table(
        "Models: a million tokens in and out, and chats",
        *("alias", "target", "in", "out", "chats", ""),
        right=("in", "out", "chats"),
    )
    for each in found.models:
        included = each.usd_per_million_input is None and each.usd_per_million_output is not None
        usd_in = "included" if included else _known(each.usd_per_million_input)
        others = (each.usd_per_million_output, each.usd_per_thousand_chats)
        table.add_row(each.alias, each.target, usd_in, *map(_known, others), each.note)
    return table


def _not_priced_table(found: Estimate) -> Table:
    table = _table("Not priced, and in no sum", "component", "type", "why", "resources")
    for component, kind, reason in dict.fromkeys((each.component, each.type, each.reason) for each in found.not_priced):
        same = [n.resource for n in found.not_priced if (n.component, n.type, n.reason) == (component, kind, reason)]
        table.add_row(_name(component), kind, reason, _some(same))
    return table


def _name(component: Component) -> str:
    return component.name or "(none)"


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _known(usd: float | None) -> str:
    return "not known" if usd is None else _number(usd)


def _number(usd: float) -> str:
    """At least cents, and as many digits as say something."""
    if usd == 0 or usd >= 0.01:
        digits = f"{usd:,.4f}".rstrip("0")
    else:
        digits = f"{usd:.12f}".rstrip("0") if usd < 1e-4 else f"{usd:.5f}".rstrip("0")
    whole, _, cents = digits.partition(".")
    return f"{whole}.{cents:<02}"

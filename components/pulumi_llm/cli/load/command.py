"""`pulumi-llm load`: its options, their bounds, and what it prints."""

import asyncio
import ipaddress
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from pulumi_llm.cli.load.display import notes, shown, table
from pulumi_llm.cli.load.runner import MAX_CONCURRENCY, MAX_REQUESTS, MAX_SECONDS, LoadRun, Plan
from pulumi_llm.cli.transports import TransportName, UsageError, open_transport

DEFAULT_REQUESTS = 10
DEFAULT_MAX_TOKENS = 100
DEFAULT_MESSAGE = "Tell me about the rivers of the world."
# A rough upper bound for the tokens of a text in most languages, and for what the service and this command add to it.
_CHARACTERS_PER_TOKEN, _ADDED_TOKENS = 3, 30


def run(
    endpoint: Annotated[
        str,
        typer.Option(envvar="PULUMI_LLM_ENDPOINT", help="The REST API's URL (the output api_gateway_url), for rest and sse."),
    ] = "",
    websocket: Annotated[
        str, typer.Option(envvar="PULUMI_LLM_WEBSOCKET", help="The WebSocket API's URL (the output websocket_url), for ws.")
    ] = "",
    api_key: Annotated[
        str, typer.Option(envvar="PULUMI_LLM_API_KEY", help="The API key. Leave it out for a service without authentication.")
    ] = "",
    transport: Annotated[
        list[TransportName] | None, typer.Option(help="A transport; may be repeated. Default: all that have a URL.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option(help="How many requests run at once, all transports together.", min=1, max=MAX_CONCURRENCY)
    ] = 2,
    requests: Annotated[
        int | None,
        typer.Option(
            help=f"How many requests each transport gets. Default: {DEFAULT_REQUESTS}.",
            min=1,
            max=MAX_REQUESTS,
            show_default=False,
        ),
    ] = None,
    duration: Annotated[
        int | None,
        typer.Option(help="Send new requests for so many seconds, in the place of --requests.", min=1, max=MAX_SECONDS),
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What to ask.")] = DEFAULT_MESSAGE,
    model: Annotated[str, typer.Option(help="The alias of the model. Default: the first model of the service.")] = "",
    max_tokens: Annotated[
        int, typer.Option(help="The maximum length of each answer, in tokens.", min=1, max=4000)
    ] = DEFAULT_MAX_TOKENS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before tokens are spent.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report and every request to this file.", dir_okay=False)
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write the report to this file, as a page with plots.", dir_okay=False)
    ] = None,
) -> None:
    """Measure how fast a service answers over each transport, with a bounded number of requests.

    \f
    The exit code is 1 if a request failed, 2 if an argument is wrong, and 130 after Ctrl-C, which ends the run and reports it.
    """
    problems: list[str] = []
    endpoints = _endpoints(endpoint, websocket, api_key, transport or [], problems)
    if requests is not None and duration is not None:
        problems.append("--duration: stands in the place of --requests; give one of them")
    if not message.strip():
        problems.append("--message: is empty; give some text")
    files = [("--json", json_file), ("--html", html_file)]
    problems += [f"{name}: there is no folder {file.parent}" for name, file in files if file and not file.parent.is_dir()]
    if problems:
        _fail("\n".join(problems))
    options: dict[str, object] = {"max_tokens": max_tokens, **({"model": model} if model else {})}
    count = requests or (DEFAULT_REQUESTS if duration is None else MAX_REQUESTS)
    plan = Plan(endpoints, message, options, concurrency, count, duration)
    if not yes and not all(map(_is_loopback, endpoints.values())):
        _confirm(plan, message, max_tokens)
    load = LoadRun(plan, api_key)
    console = Console(stderr=True)
    with shown(load, console):
        try:
            asyncio.run(load.run())
        except UsageError as error:
            _fail(str(error))
    _report(load, json_file, html_file)
    if load.interrupted:
        raise SystemExit(130)
    if any(sample.error is not None for sample in load.samples):
        raise SystemExit(1)


def _report(load: LoadRun, json_file: Path | None, html_file: Path | None) -> None:
    out = Console()
    out.print(table(load))
    for note in notes(load):
        out.out(note, highlight=False)
    if json_file is not None:
        from pulumi_llm.cli.load.report import as_json

        json_file.write_text(json.dumps(as_json(load), indent=1), encoding="utf-8")
    if html_file is not None:
        from pulumi_llm.cli.load.page import page

        html_file.write_text(page(load), encoding="utf-8")


def _endpoints(
    endpoint: str, websocket: str, api_key: str, chosen: list[TransportName], problems: list[str]
) -> Mapping[TransportName, str]:
    """The URL of each transport to measure."""
    urls = {TransportName.REST: endpoint, TransportName.SSE: endpoint, TransportName.WS: websocket}
    names = [name for name in TransportName if name in chosen or (not chosen and urls[name])]
    if not names:
        problems.append("--endpoint, --websocket: give the URL of the REST API, of the WebSocket API, or both")
    found: dict[TransportName, str] = {}
    for name in names:
        option = "--websocket" if name is TransportName.WS else "--endpoint"
        if not urls[name]:
            problems.append(f"--transport {name}: needs {option}")
            continue
        try:
            found[name] = open_transport(name, urls[name], api_key).base
        except UsageError as error:
            text = f"{option}: {error}"
            if text not in problems:
                problems.append(text)
    return found


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _confirm(plan: Plan, message: str, max_tokens: int) -> None:
    """Ask before tokens are spent. Without a terminal, nothing is sent."""
    tokens = plan.total * (math.ceil(len(message) / _CHARACTERS_PER_TOKEN) + _ADDED_TOKENS)
    hosts = " and ".join(dict.fromkeys(urlsplit(url).netloc for url in plan.endpoints.values()))
    names = ", ".join(plan.endpoints)
    what = (
        f"{hosts} will get at most {plan.total:,} requests ({names}): about {tokens:,} tokens of input and at most "
        f"{plan.total * max_tokens:,} of output."
    )
    if not sys.stdin.isatty():
        _fail(f"{what} Give --yes to send them.")
    typer.echo(what, err=True)
    if not typer.confirm("Send them?", err=True):
        raise SystemExit(130)


def _fail(text: str) -> None:
    typer.echo(text, err=True)
    raise SystemExit(2)

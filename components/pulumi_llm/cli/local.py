"""`pulumi-llm local`: run a stack on this machine."""

import asyncio
import json
import os
import sys
import time
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pulumi_llm.cli.given import ConfigOption, InvokeOption, OutputOption, StackOption, read_config, read_given

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pulumi_llm_local.run.supervisor import Options, Running
    from pulumi_llm_local.upstreams.fault import Fault
    from pulumi_llm_local.upstreams.model import LanguageModel


def run(
    stack: StackOption = "dev",
    port: Annotated[
        int,
        typer.Option(
            help="The port on 127.0.0.1; further addresses get the ones after it. 0 chooses free ones.", min=0, max=65535
        ),
    ] = 8787,
    directory: Annotated[str, typer.Option(help="The folder of the Pulumi program.")] = ".",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page in a browser.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outputs as one line of JSON when everything is ready.")
    ] = False,
    bedrock: Annotated[str, typer.Option(help="'local' uses a stand-in for Bedrock; 'aws' calls Amazon Bedrock.")] = "local",
    model_url: Annotated[
        str, typer.Option(help="Let an OpenAI-compatible server answer, such as http://localhost:11434/v1#llama3.2.")
    ] = "",
    model_delay: Annotated[
        str,
        typer.Option(
            help="Seconds that the stand-in waits before the first token and before each one.", metavar="FIRST[,TOKEN]"
        ),
    ] = "0.3,0.02",
    fault: Annotated[
        list[str] | None, typer.Option(help="Make a share of the model calls fail.", metavar="[PROVIDER=]KIND[:RATE]")
    ] = None,
    pool_start: Annotated[float, typer.Option(help="Seconds that a server of a pool loads before it answers.", min=0.0)] = 5,
    websocket_idle: Annotated[
        float, typer.Option(help="Seconds without a message after which a WebSocket is closed.", min=0.1)
    ] = 600,
    websocket_life: Annotated[float, typer.Option(help="Seconds after which a WebSocket is closed.", min=0.1)] = 7200,
    config: ConfigOption = None,
    output: OutputOption = None,
    invoke: InvokeOption = None,
) -> None:
    """Run a stack on this machine: the resources of the real program, with a stand-in for each AWS service.

    \f
    It runs until Ctrl-C. An error ends the command with one line on standard error for each problem, and exit code 1 or 2.
    """
    try:
        from pulumi_llm_local.program.graph import GraphError
        from pulumi_llm_local.run.supervisor import LocalError, Options
        from pulumi_llm_local.services.lambda_function import FunctionError
        from pulumi_llm_local.services.local_run import WebSocketLimits
        from pulumi_llm_local.services.moto import MotoError
    except ImportError as error:
        _fail(f"the local run needs more packages ({error.name} is missing): pip install 'pulumi-llm[local]'", 1)
    problems: list[str] = []
    if bedrock not in ("local", "aws"):
        problems.append(f"--bedrock: must be 'local' or 'aws', not {bedrock!r}")
    if bedrock == "aws" and (model_url or fault):
        problems.append("--bedrock aws: calls Amazon Bedrock itself, so --model-url and --fault have nothing to act on")
    model = _model(model_url, model_delay, problems)
    faults = _faults(fault or [], problems)
    overrides, given = read_config(config or [], problems), read_given(output or [], invoke or [], problems)
    if problems:
        _fail("\n".join(problems), 2)
    limits = WebSocketLimits(websocket_idle, websocket_life)
    options = Options(
        Path(directory).resolve(), stack, port, model, bedrock == "aws", faults, overrides, given, limits, pool_start
    )
    try:
        asyncio.run(_run(options, open_browser=not no_browser and not as_json, as_json=as_json))
    except (LocalError, GraphError, FunctionError, MotoError) as error:
        _fail(str(error), 1)


async def _run(options: "Options", *, open_browser: bool, as_json: bool) -> None:
    from pulumi_llm_local.run.supervisor import running, until_stopped

    began = time.perf_counter()
    async with running(options, _progress) as run:
        seconds = time.perf_counter() - began
        for warning in run.warnings:
            _say(f"warning: {warning}")
        if run.not_played:
            _say(f"not played here, only recorded: {', '.join(run.not_played)}")
        if as_json:
            print(json.dumps(run.outputs), flush=True)  # noqa: T201
        else:
            print(_ready(options, run, seconds), flush=True)  # noqa: T201
        if open_browser and _has_browser():
            webbrowser.open(run.page)
        await until_stopped()
        _say("stopping")


def _model(url: str, delay: str, problems: list[str]) -> "LanguageModel":
    from pulumi_llm_local.upstreams.model_url import ModelUrl
    from pulumi_llm_local.upstreams.stand_in_model import StandInModel

    if url and not url.startswith(("http://", "https://")):
        problems.append(f"--model-url: must be an address such as http://localhost:11434/v1, not {url!r}")
    delays = delay.split(",")
    first = token = 0.0
    try:
        first, token = float(delays[0]), float(delays[1]) if len(delays) > 1 else 0.0
        if len(delays) > 2 or first < 0 or token < 0:
            raise ValueError
    except ValueError:
        problems.append(f"--model-delay: must be seconds, FIRST or FIRST,TOKEN, such as 0.3,0.02, not {delay!r}")
    return ModelUrl(url) if url else StandInModel(first_delay=first, token_delay=token)


def _faults(texts: list[str], problems: list[str]) -> "list[Fault]":
    from pulumi_llm_local.upstreams.fault import parse_fault

    parsed: list[Fault] = []
    for text in texts:
        try:
            parsed.append(parse_fault(text))
        except ValueError as error:
            problems.append(f"--fault: {error}")
    return parsed


_STOP = "Ctrl-C stops everything."


def _ready(options: "Options", run: "Running", seconds: float) -> str:
    """What the user needs next: addresses, and commands to paste unchanged."""
    first = run.apis[0] if run.apis else run.websockets[0]
    others = [("also", api) for api in run.apis[1:]] + [("ws", api) for api in run.websockets if api is not first]
    commands = [line for title, command in _commands(run) for line in (f"{title}:", "", command, "")]
    return "\n".join(
        [
            "",
            f"The stack {options.stack} is ready in {seconds:.1f} s: {first.url}",
            *(f"  {name:8} {api.url}{_own_key(api.keys, first.keys)}" for name, api in others),
            f"  models   {', '.join(first.models)}",
            f"  page     {run.page}",
            *(f"  cdn      {url}" for url in run.distributions),
            *(f"  pool     {name}: {url} (a server starts with the first request)" for name, url in run.pools.items()),
            f"  status   {run.status}",
            f"  logs     {run.log_folder}",
            *([f"  traces   {run.traces}/"] if run.traces else []),
            *([f"  bedrock  {' '.join(f'{name}={value}' for name, value in run.bedrock.items())}"] if run.bedrock else []),
            *([f"  flags    {' '.join(f'{name}={value}' for name, value in run.appconfig.items())}"] if run.appconfig else []),
            *([f"  queues   {' '.join(f'{name}={value}' for name, value in run.queues.items())}"] if run.queues else []),
            "",
            *commands,
            _STOP,
        ]
    )


def _own_key(keys: "Sequence[str]", shown: "Sequence[str]") -> str:
    """The key of an API, unless the commands have it."""
    return f"  key {keys[0]}" if keys and keys[0] not in shown[:1] else ""


def _commands(run: "Running") -> "Iterator[tuple[str, str]]":
    """Yield what each command does, and the command."""
    if not run.apis:
        yield "In the terminal", run.websockets[0].chat(_command())
        yield "Measured", run.websockets[0].load(_command())
        return
    api = run.apis[0]
    yield "With curl, streaming", api.curl()
    if not api.signing:  # the OpenAI client and the terminal client do not sign requests
        install = "" if find_spec("openai") else "pip install openai && "
        yield "With the OpenAI client", install + api.openai(sys.executable)
        yield "In the terminal", api.chat(_command())
        for websocket in run.websockets[:1]:
            if websocket.keys[:1] == api.keys[:1]:
                yield "All transports, measured", api.load(_command(), websocket.url)
            else:
                yield "Over the WebSocket", websocket.chat(_command())


def _command() -> str:
    """How the user calls this command from the current folder."""
    path = Path(sys.argv[0])
    if not path.is_absolute():
        return str(path)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path.name


def _has_browser() -> bool:
    """Whether a graphical browser can open. A text browser in this terminal does not count."""
    graphical = sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return graphical and sys.stdout.isatty()


def _progress(step: str) -> None:
    _say(f"… {step}")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _fail(text: str, code: int) -> NoReturn:
    for line in text.splitlines():
        _say(line)
    raise typer.Exit(code)

"""`pulumi-llm preview`: what `pulumi up` would do with a program, without an account."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from pulumi_llm.cli.cost import estimate_program, summary
from pulumi_llm.cli.given import ConfigOption, InvokeOption, OutputOption, StackOption, fail, read_config, read_given
from pulumi_llm.cost.chats import Chat

if TYPE_CHECKING:
    from pulumi_llm_local.program.given import Given


def run(
    directory: Annotated[str, typer.Argument(help="The folder of the Pulumi program, in Python.")] = ".",
    stack: StackOption = "dev",
    config: ConfigOption = None,
    output: OutputOption = None,
    invoke: InvokeOption = None,
    policy_pack: Annotated[str, typer.Option(help="The folder of a policy pack that judges the program.")] = "",
    policy_pack_config: Annotated[str, typer.Option(help="The file with the pack's configuration.")] = "",
    diff: Annotated[bool, typer.Option("--diff", help="Show each resource with its inputs.")] = False,
    account: Annotated[
        bool, typer.Option("--account", help="Ask AWS and the stack's state, if the Pulumi CLI and credentials are there.")
    ] = False,
) -> None:
    """Show what `pulumi up` would make of a program, and what it costs. Stand-ins answer for AWS: no account and no login are
    needed.

    \f
    The exit code is the engine's; 2 if an option is wrong. An error is one line on standard error for each problem.
    """
    try:
        from pulumi_llm_local.engine.preview import preview
    except ImportError as error:
        fail(f"the preview needs more packages ({error.name} is missing): pip install 'pulumi-llm[local]'", 1)
    problems: list[str] = []
    overrides, given = read_config(config or [], problems), read_given(output or [], invoke or [], problems)
    if account and (config or output or invoke):
        problems.append("--account: asks AWS and the stack, so --config, --output and --invoke have nothing to act on")
    problems += _pack_problems(policy_pack, policy_pack_config)
    if problems:
        fail("\n".join(problems), 2)
    # The engine runs in another folder, so that its paths are whole.
    options = {"--policy-pack": policy_pack, "--policy-pack-config": policy_pack_config}
    arguments = [f"{name}={Path(value).resolve()}" for name, value in options.items() if value]
    arguments += ["--diff"] if diff else []
    program = Path(directory).resolve()
    status = preview(program, stack, overrides, given, arguments, account=account)
    if status == 0:
        _show_cost(program, stack, overrides, given)
    raise typer.Exit(status)


def _pack_problems(pack: str, config: str) -> Iterator[str]:
    """Yield what is wrong with the paths of a policy pack and its configuration, and with the configuration's form.

    What it says of rules, the pack judges.
    """
    if pack and not Path(pack).is_dir():
        yield f"--policy-pack: there is no folder {pack}"
    elif pack and not (Path(pack) / "PulumiPolicy.yaml").is_file():
        yield f"--policy-pack: {pack} has no PulumiPolicy.yaml, so that it is no policy pack"
    if not config:
        return
    if not pack:
        yield "--policy-pack-config: configures a pack, so name it, too: --policy-pack FOLDER"
    try:
        entries = json.loads(Path(config).read_text())
    except (OSError, UnicodeDecodeError) as error:
        yield f"--policy-pack-config: {config} cannot be read: {getattr(error, 'strerror', None) or error}"
    except json.JSONDecodeError as error:
        yield f"--policy-pack-config: {config} is no JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    else:
        yield from (f"--policy-pack-config: {config}: {problem}" for problem in _entry_problems(entries))


_LEVELS: Final = ("advisory", "mandatory", "remediate", "disabled")


def _entry_problems(entries: Any) -> Iterator[str]:
    """Yield the entries whose level the engine would refuse without saying whose it is."""
    if not isinstance(entries, dict):
        yield "must be an object with a level for each rule"
        return
    for name, entry in cast("dict[str, Any]", entries).items():
        level = cast("dict[str, Any]", entry).get("enforcementLevel", "") if isinstance(entry, dict) else entry
        if level not in ("", *_LEVELS):
            yield f"{name}: the level must be one of {', '.join(_LEVELS)}, not {json.dumps(level)}"


def _show_cost(program: Path, stack: str, overrides: Mapping[str, Any], given: "Given") -> None:
    """Show in one line what the stack costs. Where that cannot be computed, the preview has succeeded all the same."""
    from pulumi_llm_local.program.graph import GraphError

    try:
        found = estimate_program(program, stack, overrides, given, Chat())
    except GraphError as error:
        typer.echo(f"cost: not known: {str(error).splitlines()[0]}", err=True)
    else:
        typer.echo(f"cost: {summary(found)}; `pulumi-llm cost` shows each part")

"""What commands share: the stack, the values that its program reads, and how a wrong call ends."""

import json
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from pulumi_llm_local.program.given import Given

StackOption = Annotated[str, typer.Option(help="The stack, configured in Pulumi.<stack>.yaml.")]
ConfigOption = Annotated[
    list[str] | None, typer.Option(help="Override a setting, such as api.daily_quota=50.", metavar="KEY=VALUE")
]
OutputOption = Annotated[
    list[str] | None,
    typer.Option(help="An output of another stack, such as acme/network/dev:vpc_id=vpc-1.", metavar="STACK:NAME=VALUE"),
]
InvokeOption = Annotated[
    list[str] | None,
    typer.Option(
        help="""What a function of AWS's provider returns, such as 'aws:ec2/getVpc:getVpc={"id": "vpc-1"}'.""",
        metavar="FUNCTION=JSON",
    ),
]


def read_config(options: list[str], problems: list[str]) -> dict[str, Any]:
    """The settings of --config by their paths."""
    found: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not key or not equals:
            problems.append(f"--config: must be KEY=VALUE, such as api.daily_quota=50, not {option!r}")
        else:
            found[key] = _value(value)
    return found


def read_given(outputs: list[str], answers: list[str], problems: list[str]) -> "Given":
    """The values of --output and --invoke."""
    from pulumi_llm_local.program.given import Given

    stacks: dict[str, dict[str, Any]] = {}
    for option in outputs:
        place, equals, value = option.partition("=")
        stack, _, name = place.rpartition(":")
        if not stack or not name or not equals:
            problems.append(f"--output: must be STACK:NAME=VALUE, such as acme/network/dev:vpc_id=vpc-1, not {option!r}")
        else:
            stacks.setdefault(stack, {})[name] = _value(value)
    functions: dict[str, dict[str, Any]] = {}
    for option in answers:
        token, _, value = option.partition("=")
        answer = _value(value)
        if not token or not isinstance(answer, dict):
            example = """aws:ec2/getVpc:getVpc={"id": "vpc-1"}"""
            problems.append(f"--invoke: must be FUNCTION=ANSWER, the answer as JSON, such as {example}, not {option!r}")
        else:
            functions[token] = answer
    return Given(stacks, functions)


def _value(text: str) -> Any:
    """A value: parsed if it is JSON, otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def fail(text: str, code: int) -> NoReturn:
    """End the command with a text on standard error."""
    typer.echo(text, err=True)
    raise typer.Exit(code)

"""`pulumi-llm prune-versions`: delete old versions of functions.

Each `pulumi up` that changes a function publishes a version, and neither Lambda nor the provider ever deletes one. A deployment
cannot do it either: a hook of Pulumi runs in the program, without the provider's credentials and Region, and its account.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(
    functions: Annotated[list[str], typer.Argument(help="The functions, by name or ARN.", metavar="FUNCTION...")],
    keep: Annotated[int, typer.Option(help="How many of the newest versions stay.", min=1)] = 10,
    yes: Annotated[bool, typer.Option("--yes", help="Delete. Without it the command only shows what it would delete.")] = False,
) -> None:
    """Delete a function's old versions. The newest ones stay, and each that an alias names.

    \f
    The credentials and the Region are those of the AWS CLI. A function that cannot be read ends the command with exit code 1.
    """
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        typer.echo(f"this command needs more packages ({error.name} is missing): pip install 'pulumi-llm[local]'", err=True)
        raise typer.Exit(1) from None
    try:
        client: Any = botocore.session.Session().create_client("lambda")
        for function in functions:
            old = old_versions(client, function, keep)
            for version in old:
                if yes:
                    # AWS refuses it for a version that an alias names, should one do so since.
                    client.delete_function(FunctionName=function, Qualifier=version)
            done = "deleted" if yes else "would be deleted; add --yes to delete"
            typer.echo(f"{function}: {f'{_listed(old)} {done}' if old else 'nothing to delete'}")
    except (BotoCoreError, ClientError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def old_versions(client: Any, function: str, keep: int) -> list[str]:
    """Return the versions of a function without the newest `keep`, and without those that an alias sends calls to."""
    versions = [each["Version"] for each in _items(client, "list_versions_by_function", "Versions", function)]
    published = sorted((version for version in versions if re.fullmatch(r"\d+", version)), key=int)
    named: set[str] = set()
    for alias in _items(client, "list_aliases", "Aliases", function):
        named |= {alias["FunctionVersion"], *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})}
    return [version for version in published[:-keep] if version not in named]


def _items(client: Any, operation: str, key: str, function: str) -> "Iterator[Any]":
    for page in client.get_paginator(operation).paginate(FunctionName=function):
        yield from page[key]


def _listed(versions: list[str]) -> str:
    return f"version {versions[0]}" if len(versions) == 1 else f"versions {', '.join(versions)}"

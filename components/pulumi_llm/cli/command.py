"""The command `pulumi-llm`, made of its subcommands."""

import typer

from pulumi_llm.cli import chat, local

app = typer.Typer(
    name="pulumi-llm",
    help="Run an LLM inference service on this machine, and chat with one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("local")(local.run)
app.command("chat")(chat.run)


def main() -> None:
    app()

"""The command `pulumi-llm`, made of its subcommands."""

import typer

from pulumi_llm.cli import chat, cost, fit, jobs, load, local, preview, prune_versions

app = typer.Typer(
    name="pulumi-llm",
    help="Preview an LLM inference service and its cost, run it on this machine, chat with one, measure it, and size GPUs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("local")(local.run)
app.command("preview")(preview.run)
app.command("cost")(cost.run)
app.command("chat")(chat.run)
app.add_typer(jobs.app, name="jobs")
app.command("load")(load.run)
app.command("fit")(fit.run)
app.command("prune-versions")(prune_versions.run)

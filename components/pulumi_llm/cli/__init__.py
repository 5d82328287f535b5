"""The command `pulumi-llm`."""

from pulumi_llm.cli.command import app, main

__all__ = ["app", "main"]

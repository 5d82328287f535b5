"""The command `pulumi-llm load`: how fast a service answers over each transport, while several requests run at once."""

from pulumi_llm.cli.load.command import run as run

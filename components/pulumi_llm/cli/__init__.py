"""The command `pulumi-llm`."""

import sys


def main() -> None:
    """Run the command. Without the packages of the extra `cli`, say what to install, and exit with code 1."""
    try:
        from pulumi_llm.cli.command import app
    except ModuleNotFoundError as error:
        sys.exit(f"the command needs more packages ({error.name} is missing): pip install 'pulumi-llm[cli]'")
    app()

"""`make preview`: what `make up` would do. The Pulumi CLI and an AWS account say it, or where one is missing, stand-ins."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import botocore.session
import yaml
from botocore.exceptions import BotoCoreError

from pulumi_llm_local.engine.cloud import Cloud
from pulumi_llm_local.engine.command import EngineMissing
from pulumi_llm_local.engine.stack import Stack
from pulumi_llm_local.program.graph import GraphError


def main() -> None:
    """The arguments are the stack and what else `pulumi preview` is to be told; the project is in the working directory."""
    stack, *arguments = sys.argv[1:]
    directory = Path.cwd()
    missing = _missing(directory / f"Pulumi.{stack}.yaml")
    sys.exit(_with_stand_ins(directory, stack, arguments, missing) if missing else _with_account(stack, arguments))


def _missing(stack_file: Path) -> str:
    """What a preview against AWS lacks here; empty where there is all of it."""
    if not shutil.which("pulumi"):
        return "the Pulumi CLI is not on PATH"
    settings = cast("dict[str, Any]", yaml.safe_load(stack_file.read_text()) or {}) if stack_file.exists() else {}
    config = cast("dict[str, Any]", settings.get("config") or {})
    if "environment" in settings or "aws:accessKey" in config:  # the credentials are Pulumi's to find
        return ""
    session: Any = botocore.session.Session()
    if "aws:profile" in config:
        session.set_config_variable("profile", config["aws:profile"])
    try:
        return "" if session.get_credentials() else "there are no AWS credentials"
    except BotoCoreError as error:
        return f"there are no AWS credentials ({error})"


def _with_account(stack: str, arguments: Sequence[str]) -> int:
    environment = {key: value for key, value in os.environ.items() if key != "PULUMI_DEBUG_PROVIDERS"}
    for command in (["stack", "select", "--create", stack], ["preview", *arguments]):
        if status := subprocess.run(["pulumi", *command], env=environment, check=False).returncode:
            return status
    return 0


def _with_stand_ins(directory: Path, stack: str, arguments: Sequence[str], missing: str) -> int:
    note = f"{missing}, so stand-ins answer for AWS. No account and no state is looked at: everything shows as new."
    _say(note)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="pulumi-llm-") as folder,
            Stack(Path(folder), directory, stack, Cloud(), environment={"PULUMI_LLM_BUNDLE": "host"}) as played,
        ):
            process = played.start(*played.operation("preview", *arguments))
            try:
                status = process.wait()
            except KeyboardInterrupt:
                process.terminate()
                status = process.wait() or 130
    except (GraphError, EngineMissing) as error:
        _say(str(error))
        return 1
    _say(note)
    return status


def _say(text: str) -> None:
    sys.stderr.write(f"preview: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()

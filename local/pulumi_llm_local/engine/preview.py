"""What `pulumi up` would do with a program, told by the Pulumi engine with stand-ins for AWS, or by the user's own account."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import botocore.session
import yaml
from botocore.exceptions import BotoCoreError

from pulumi_llm_local.engine.cloud import Cloud
from pulumi_llm_local.engine.command import EngineMissing
from pulumi_llm_local.engine.stack import Stack
from pulumi_llm_local.program.given import Given
from pulumi_llm_local.program.graph import GraphError, check_python, configuration, unread_environments


def preview(
    directory: Path,
    stack: str,
    overrides: Mapping[str, Any],
    given: Given,
    arguments: Sequence[str],
    *,
    account: bool,
) -> int:
    """Preview a stack of the program in `directory`, and return the engine's status.

    Args:
        directory: The folder of the program.
        stack: The stack's name.
        overrides: Settings that win over the stack's file, by their paths.
        given: What the program reads from elsewhere.
        arguments: What else `pulumi preview` is told.
        account: Whether AWS and the stack's state are asked where the Pulumi CLI and credentials are there.
    """
    missing = _missing(directory / f"Pulumi.{stack}.yaml") if account else ""
    if account and not missing:
        return _with_account(directory, stack, arguments)
    return _with_stand_ins(directory, stack, overrides, given, arguments, f"{missing}, so " if missing else "")


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


def _with_account(directory: Path, stack: str, arguments: Sequence[str]) -> int:
    environment = {key: value for key, value in os.environ.items() if key != "PULUMI_DEBUG_PROVIDERS"}
    for command in (["stack", "select", "--create", stack], ["preview", *arguments]):
        if status := subprocess.run(["pulumi", *command], cwd=directory, env=environment, check=False).returncode:
            return status
    return 0


def _with_stand_ins(
    directory: Path, stack: str, overrides: Mapping[str, Any], given: Given, arguments: Sequence[str], missing: str
) -> int:
    note = f"{missing}stand-ins answer for AWS. No account and no state is looked at: everything shows as new."
    _say(note)
    try:
        configuration(directory, stack, overrides)
        check_python(directory)
        for line in unread_environments(directory, stack):
            _say(line)
        with (
            tempfile.TemporaryDirectory(prefix="pulumi-llm-") as folder,
            Stack(Path(folder), directory, stack, Cloud(), environment={"PULUMI_LLM_BUNDLE": "host"}, given=given) as played,
        ):
            played.configure(overrides)
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

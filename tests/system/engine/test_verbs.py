"""The verbs of the Makefile: up, refresh and destroy are the user's own Pulumi; preview is too, where there is an account."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pulumi_llm.base import web_client
from pulumi_llm_local.engine import command
from support import shop
from support.programs import PAGE, ROOT

# Stands where the user's CLI does, and notes what it was asked and how.
RECORDING_CLI = (
    f"#!{sys.executable}\n"
    + """\
import json, os, sys

noted = {key: value for key, value in os.environ.items() if key.startswith("PULUMI_")}
with open(os.environ["NOTES"], "a") as file:
    file.write(json.dumps([sys.argv[1:], noted]) + "\\n")
sys.exit(int(os.environ.get("CLI_STATUS", "0")))
"""
)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x" * 40}


class Shell:
    """A shell whose PATH has a Pulumi CLI of ours first, or none, and whose home has no credentials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        (folder / "bin").mkdir()
        for name in ("make", "env", "sh"):
            found = shutil.which(name)
            assert found
            (folder / "bin" / name).symlink_to(found)

    def with_cli(self, source: str = RECORDING_CLI) -> "Shell":
        cli = self.folder / "bin" / "pulumi"
        cli.write_text(source)
        cli.chmod(0o755)
        return self

    def make(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.folder),
            "PULUMI_LLM_CACHE": os.environ.get("PULUMI_LLM_CACHE", str(Path.home() / ".cache" / "pulumi-llm")),
            "NOTES": str(self.notes),
            "AWS_EC2_METADATA_DISABLED": "true",
            web_client.FOLDER_VARIABLE: str(PAGE),  # prod's, whether Node.js is there or not
            **variables,
        }
        # What is set up is not looked at anew: this Python may be another than the one that set it up.
        arguments = ("--no-print-directory", "--old-file=.venv/ready", *arguments)
        return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def asked(self) -> list[tuple[list[str], dict[str, str]]]:
        return [tuple(json.loads(line)) for line in self.notes.read_text().splitlines()] if self.notes.exists() else []


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize("verb", ["up", "refresh", "destroy", "preview"])
def test_with_an_account_a_verb_is_pulumi_s_own(verb: str, shell: Shell) -> None:
    backend = {"PULUMI_BACKEND_URL": "s3://state", "PULUMI_DEBUG_PROVIDERS": "aws:1234"}
    done = shell.with_cli().make(verb, "STACK=prod", **CREDENTIALS, **backend)
    assert done.returncode == 0, done.stderr
    (selected, _), (arguments, variables) = shell.asked()
    assert selected == ["stack", "select", "--create", "prod"]
    assert arguments == [verb]
    assert variables.get("PULUMI_BACKEND_URL") == "s3://state"
    assert "PULUMI_DEBUG_PROVIDERS" not in variables, "no stand-in is attached to it"


@pytest.mark.parametrize("verb", ["up", "refresh", "destroy", "preview"])
def test_a_verb_fails_as_pulumi_does(verb: str, shell: Shell) -> None:
    done = shell.with_cli().make(verb, CLI_STATUS="7", **CREDENTIALS)
    assert done.returncode != 0
    assert len(shell.asked()) == 1


@pytest.mark.parametrize("verb", ["up", "refresh", "destroy"])
def test_without_the_cli_what_changes_aws_says_what_is_missing(verb: str, shell: Shell) -> None:
    done = shell.make(verb, **CREDENTIALS)
    assert done.returncode != 0
    assert f"{verb} needs the Pulumi CLI" in done.stderr
    assert "make preview" in done.stderr


@pytest.mark.parametrize("cli", [True, False], ids=["with the CLI", "without"])
def test_without_an_account_preview_shows_the_tree_and_says_who_answered(cli: bool, shell: Shell) -> None:
    engine = command.find()
    if cli:
        shell.with_cli(f'#!/bin/sh\nexec "{engine}" "$@"\n')
    done = shell.make("preview", "STACK=prod")
    assert done.returncode == 0, done.stderr
    assert "aws:apigateway:RestApi chat-api create" in done.stdout
    assert "aws:dynamodb:Table chat-keys-table create" in done.stdout
    assert "cost: idle, the stack costs $20.00 a month (prices of us-east-1); `pulumi-llm cost` shows" in done.stdout
    missing = "there are no AWS credentials" if cli else "the Pulumi CLI is not on PATH"
    assert done.stderr.count(f"preview: {missing}, so stand-ins answer for AWS") == 2, "before and after the tree"


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("", "aws:ec2:SecurityGroup web create"),
        ("size", "Missing required configuration variable 'shop:size'"),
        ("aws:route53/getZone:getZone", "give its answer with --invoke 'aws:route53/getZone:getZone="),
        ("subnet", "give it with --output acme/network/dev:subnet=VALUE"),
    ],
    ids=["all given", "a setting", "an answer", "an output"],
)
def test_a_strangers_program_is_previewed_with_what_it_reads_given(without: str, said: str, tmp_path: Path) -> None:
    """With credentials at hand, too: nothing is asked of them."""
    settings = {"database.password": "p", "token": "t", **shop.SETTINGS}
    options = [f"--config={key}={value}" for key, value in settings.items() if key != without]
    for stack, outputs in shop.OUTPUTS.items():
        options += [f"--output={stack}:{key}={value}" for key, value in outputs.items() if key != without]
    options += [f"--invoke={token}={json.dumps(answer)}" for token, answer in shop.ANSWERS.items() if token != without]
    done = subprocess.run(
        [Path(sys.executable).with_name("pulumi-llm"), "preview", str(shop.write_shop(tmp_path)), *options],
        env={**os.environ, **CREDENTIALS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (not without), done.stdout
    assert said in done.stdout
    assert ("cost: idle, the stack costs $0.00 a month" in done.stdout) == (not without)
    assert "Traceback" not in done.stdout + done.stderr
    assert "the environments of Pulumi ESC are not read here (shop/network)" in done.stderr


def test_the_checkout_is_left_as_it_was(shell: Shell) -> None:
    """The CLI writes to a stack's file; not to the user's."""
    before = {path: path.read_bytes() for path in ROOT.glob("Pulumi.*")}
    assert shell.make("preview").returncode == 0
    assert {path: path.read_bytes() for path in ROOT.glob("Pulumi.*")} == before


def test_a_stack_that_there_is_not_is_told_with_those_that_there_are(shell: Shell) -> None:
    done = shell.make("preview", "STACK=qa")
    assert done.returncode != 0
    assert "there is no stack 'qa'" in done.stderr
    assert "dev, prod" in done.stderr


def test_wrong_settings_are_told_all_at_once(shell: Shell, tmp_path: Path) -> None:
    for path in ROOT.iterdir():
        if not path.name.startswith("Pulumi.dev"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "Pulumi.dev.yaml").write_text(
        'config: {"aws:region": "nowhere", "pulumi-llm:models": ["gpt-5"], "pulumi-llm:api": {"memory": 1}}'
    )
    done = shell.make("-C", str(tmp_path), "preview")
    assert done.returncode != 0
    for said in ("aws:region: 'nowhere' is not of the form", "pulumi-llm:models[0]", "pulumi-llm:api.memory: is not known"):
        assert said in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_what_is_missing_to_build_the_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    monkeypatch.setenv("PATH", str(shell.folder / "bin"))
    monkeypatch.setenv("PULUMI_LLM_CACHE", str(tmp_path / "cache"))
    with pytest.raises(command.EngineMissing, match=r"not on PATH, and there is no Go .*https://www.pulumi.com/docs/install/"):
        command.find()
    monkeypatch.setattr(command, "TOOL", tmp_path / "nowhere")
    with pytest.raises(command.EngineMissing, match="this is no checkout that could build it"):
        command.find()

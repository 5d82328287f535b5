"""`pulumi-llm prune-versions`, with moto's Lambda."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from pulumi_llm.cli.command import app

NAME = "chat-function-dev-1234567"


def archive(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("main.py", text)
    return file.getvalue()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Lambda with a function of six versions, of which the alias `live` names the second and, for a tenth, the third."""
    settings = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = boto3.client("iam").create_role(RoleName="chat", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        made = boto3.client("lambda")
        code = {"ZipFile": archive("1")}
        made.create_function(
            FunctionName=NAME, Runtime="python3.13", Role=role, Handler="main.handler", Code=code, Publish=True
        )
        for text in "23456":
            made.update_function_code(FunctionName=NAME, ZipFile=archive(text), Publish=True)
        routing = {"AdditionalVersionWeights": {"3": 0.1}}
        made.create_alias(FunctionName=NAME, Name="live", FunctionVersion="2", RoutingConfig=routing)
        yield made


def versions(client: Any) -> str:
    found = client.list_versions_by_function(FunctionName=NAME)["Versions"]
    return " ".join(each["Version"] for each in found if each["Version"] != "$LATEST")


@pytest.mark.parametrize(
    ("arguments", "left", "said"),
    [
        (["--yes", "--keep", "2"], "2 3 5 6", "versions 1, 4 deleted"),
        (["--yes", "--keep", "1"], "2 3 6", "versions 1, 4, 5 deleted"),
        (["--yes", "--keep", "5"], "2 3 4 5 6", "version 1 deleted"),
        (["--yes"], "1 2 3 4 5 6", "nothing to delete"),
        (["--keep", "2"], "1 2 3 4 5 6", "versions 1, 4 would be deleted; add --yes to delete"),
    ],
)
def test_the_newest_versions_stay_and_those_that_an_alias_names(
    arguments: list[str], left: str, said: str, client: Any
) -> None:
    done = CliRunner().invoke(app, ["prune-versions", NAME, *arguments])
    assert done.exit_code == 0, done.output
    assert versions(client) == left
    assert done.output == f"{NAME}: {said}\n"


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(("arguments", "code", "said"), [(["other"], 1, "other"), ([NAME, "--keep", "0"], 2, "--keep")])
def test_what_cannot_be_pruned_is_reported(arguments: list[str], code: int, said: str) -> None:
    done = CliRunner().invoke(app, ["prune-versions", *arguments])
    assert done.exit_code == code
    assert said in done.output

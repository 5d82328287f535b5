"""What a program reads from elsewhere: given by options, or named by one clear line."""

import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pulumi_llm_local.program import graph
from pulumi_llm_local.program.given import Given
from pulumi_llm_local.program.graph import GraphError
from support.shop import ANSWERS, OUTPUTS, SETTINGS, write_shop


def project(folder: Path, stack: str, files: dict[str, str] | None = None, more: str = "") -> Path:
    (folder / "Pulumi.yaml").write_text(f"name: shop\nruntime: python\n{more}")
    (folder / "Pulumi.dev.yaml").write_text(textwrap.dedent(stack))
    (folder / "__main__.py").write_text("")
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    return folder


SECRETS = """\
    config:
      aws:region: eu-west-1
      shop:database: {host: db, users: [{password: {secure: v1:a}}]}
      shop:token: {secure: v1:b}
"""


def test_every_encrypted_value_is_named_with_the_option_that_gives_it(tmp_path: Path) -> None:
    folder = project(tmp_path, SECRETS)
    with pytest.raises(GraphError) as error:
        graph.configuration(folder, "dev", {})
    assert str(error.value).endswith("--config database.users.0.password=VALUE --config token=VALUE")
    _, config = graph.configuration(folder, "dev", {"database.users.0.password": "p", "token": "t"})
    assert config["shop:token"] == "t"
    assert config["shop:database"] == '{"host": "db", "users": [{"password": "p"}]}'


def test_without_a_stack_s_file_it_is_said_what_to_do(tmp_path: Path) -> None:
    folder = project(tmp_path, "")
    with pytest.raises(
        GraphError, match=r"there is no stack 'qa' in .*: name another one with --stack \(dev\), or make the file"
    ):
        graph.configuration(folder, "qa", {})
    (folder / "Pulumi.dev.yaml").unlink()
    with pytest.raises(
        GraphError, match=r"with --stack, or make the file Pulumi\.dev\.yaml with its settings; an empty one is"
    ):
        graph.configuration(folder, "dev", {})
    (folder / "Pulumi.dev.yaml").touch()
    assert graph.configuration(folder, "dev", {}) == ("shop", {})


@pytest.mark.parametrize(
    ("environment", "names"),
    [("[shop/dev, {shop/net@2: {merge: true}}]", "shop/dev, shop/net@2"), ("{imports: [a/b], values: {}}", "a/b"), ("[]", "")],
)
def test_the_environments_that_are_not_read_are_named(environment: str, names: str, tmp_path: Path) -> None:
    lines = graph.unread_environments(project(tmp_path, f"environment: {environment}\n"), "dev")
    assert [f"({names})" in line and "--config KEY=VALUE" in line for line in lines] == ([True] if names else [])


def test_a_projects_own_values_hold_for_every_stack(tmp_path: Path) -> None:
    more = "config: {size: 3, color: {type: string, default: red}, 'aws:region': {value: eu-west-2}, needed: {type: string}}\n"
    _, config = graph.configuration(project(tmp_path, "config: {shop:size: 4}\n", more=more), "dev", {})
    assert config == {"shop:size": "4", "shop:color": "red", "aws:region": "eu-west-2"}


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("Pulumi.yaml", "name: shop\nruntime: {name: nodejs}\n", "is in nodejs; only one in Python can be evaluated"),
        ("Pulumi.dev.yaml", "config: [", "is not YAML"),
    ],
)
def test_what_cannot_be_evaluated_is_told(file: str, text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=reason):
        graph.load(project(tmp_path, "", {file: text}), "dev", {}, seed="", environment={})


@pytest.mark.parametrize(
    ("settings", "given", "option"),
    [
        ({}, Given(OUTPUTS, ANSWERS), "--config KEY=VALUE"),
        (SETTINGS, Given(OUTPUTS), "--invoke 'aws:ec2/getVpc:getVpc={"),
        (SETTINGS, Given({"acme/network/dev": {"host": "h"}}, ANSWERS), "--output acme/network/dev:subnet=VALUE"),
    ],
    ids=["a setting", "an answer", "an output"],
)
def test_a_value_that_is_missing_is_told_with_its_option(
    settings: dict[str, Any], given: Given, option: str, tmp_path: Path
) -> None:
    with pytest.raises(GraphError) as error:
        evaluated(tmp_path, settings, given)
    assert option in str(error.value)
    assert "Traceback" not in str(error.value)


def test_with_every_value_given_the_program_is_evaluated(tmp_path: Path) -> None:
    found = evaluated(tmp_path, SETTINGS, Given(OUTPUTS, ANSWERS))
    (group,) = found.of_type("aws:ec2/securityGroup:SecurityGroup")
    assert (group.inputs["vpcId"], group.inputs["tags"]) == ("vpc-1", {"Subnet": "s-1"})
    (record,) = found.of_type("aws:route53/record:Record")
    assert (record.inputs["zoneId"], record.inputs["records"]) == ("Z1", ["h"])
    (parameter,) = found.of_type("aws:ssm/parameter:Parameter")
    assert parameter.inputs["value"] == "xtp"
    assert "shop/network" in found.warnings[0]


def evaluated(folder: Path, settings: dict[str, Any], given: Given) -> graph.Graph:
    overrides = {"database.password": "p", "token": "t", **settings}
    return graph.load(write_shop(folder), "dev", overrides, seed="", environment=dict(os.environ), given=given)

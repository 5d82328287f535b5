"""dev and prod from nothing to nothing: preview, up, up again, refresh, destroy; what fails on the way; what stays secret."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.cloud import Cloud, ProviderCall, Refused
from pulumi_llm_local.engine.stack import Done, Stack
from system.engine.conftest import names, our_stack, succeeded, urns

STACKS = ("dev", "prod")


@dataclass
class Deployed:
    """A stack that is up, and what was seen on the way."""

    stack: Stack
    preview: Done
    up: Done
    folder: Path


@pytest.fixture(scope="module", params=STACKS)
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp(request.param)
    with our_stack(folder, request.param) as stack:
        yield Deployed(stack, succeeded(stack.preview()), succeeded(stack.up()), folder)


def test_a_preview_shows_what_up_makes(deployed: Deployed) -> None:
    assert deployed.preview.steps() == deployed.up.steps()
    assert set(deployed.up.steps().values()) == {"create"}


def test_every_resource_exists_once(deployed: Deployed) -> None:
    made = [urn for urn in deployed.up.steps() if urn.split("::")[2].rpartition("$")[2].startswith("aws:")]
    assert urns(deployed.stack.cloud) == sorted(made)
    assert len(made) > 80


def test_a_second_up_changes_nothing(deployed: Deployed) -> None:
    before = len(deployed.stack.cloud.calls)
    again = succeeded(deployed.stack.up())
    assert set(again.steps().values()) == {"same"}
    assert len(deployed.stack.cloud.calls) == before


def test_a_refresh_finds_what_up_recorded(deployed: Deployed) -> None:
    done = succeeded(deployed.stack.refresh("--expect-no-changes"))
    assert len(done.steps()) == len(deployed.up.steps())


def test_physical_names_tell_the_stack_and_differ(deployed: Deployed) -> None:
    (function,) = (e for e in deployed.stack.cloud if e.urn.endswith("::chat-function"))
    assert function.id.startswith(f"chat-function-{deployed.stack.name}-")


def test_no_key_stands_in_plain_text_anywhere(deployed: Deployed) -> None:
    """Not in the state, not in what the CLI printed; `--show-secrets` alone tells it."""
    values = [revealed(e.state)["value"] for e in deployed.stack.cloud if e.token == "aws:apigateway/apiKey:ApiKey"]
    assert values
    files = [path.read_bytes() for path in (deployed.folder / "state").rglob("*") if path.is_file()]
    printed = [deployed.preview.output, deployed.up.output, deployed.stack.run("stack", "output", "--json").output]
    events = [json.dumps(done.events) for done in (deployed.preview, deployed.up)]
    for value in values:
        assert not any(value.encode() in content for content in files)
        assert not any(value in text for text in [*printed, *events])
    assert values[0] in deployed.stack.run("stack", "output", "api_key_value", "--show-secrets").output


def test_a_key_keeps_a_value_that_callers_have_already(tmp_path: Path) -> None:
    """Encrypted in the stack's file, it is in plain text nowhere: not in the state, not in what is printed."""
    first, second = ("sk-" + letter * 40 for letter in "ab")
    with our_stack(tmp_path, "dev") as stack:
        file = tmp_path / "project" / "Pulumi.dev.yaml"

        def encrypted(value: str) -> dict[str, str]:
            succeeded(stack.run("config", "set", "--secret", "value", value))
            return yaml.safe_load(file.read_text())["config"]["pulumi-llm:value"]

        def configure(*values: str) -> None:
            keys = [{"name": f"key-{index}", "value": encrypted(value)} for index, value in enumerate(values)]
            stack.configure({"api.keys": keys})

        configure(first)
        up = succeeded(stack.up())
        (key,) = (e for e in stack.cloud if e.token == "aws:apigateway/apiKey:ApiKey")
        assert revealed(key.state)["value"] == first
        assert stack.run("stack", "output", "api_key_value", "--show-secrets").output.strip() == first
        configure(second)  # another value is another key, and the old one is refused from then on
        changed = succeeded(stack.up())
        assert names(changed, "replace") == {"chat-key-key-0", "chat-usage-plan-key-key-0"}
        assert [revealed(e.state)["value"] for e in stack.cloud if e.token == key.token] == [second]
        configure(second, second)
        twice = stack.preview()
        assert "pulumi-llm:api.keys[1].value: is another key's value" in twice.output
        files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        said = [each.output + json.dumps(each.events) for each in (up, changed, twice)]
        for value in (first, second):
            assert not any(value.encode() in content for content in files)
            assert not any(value in text for text in said)


def test_every_documented_output_is_there(deployed: Deployed) -> None:
    outputs = json.loads(deployed.stack.run("stack", "output", "--json").output)
    assert outputs["api_gateway_url"].startswith("https://")
    assert outputs["stream_url"] == outputs["api_gateway_url"] + "/chat/stream"
    assert outputs["api_key_value"] == "[secret]"
    assert {"lambda_function_name", "cloudwatch_log_group"} <= set(outputs)
    assert outputs["websocket_url"].startswith("wss://")
    assert ("frontend_url" in outputs) is (deployed.stack.name == "prod")


# Last of those that share a stack, for it ends it.
def test_destroy_deletes_in_order_and_honours_protection(deployed: Deployed) -> None:
    cloud = deployed.stack.cloud
    settings: dict[str, bool] = {}
    # What stands on another one goes before it.
    all_of_them = {"frontend": "frontend-distribution", "websocket": "websocket-api", "api": "chat-api"}
    protected = all_of_them if deployed.stack.name == "prod" else {}
    for component, child in protected.items():
        refused = deployed.stack.destroy()
        assert refused.returncode != 0
        assert child in refused.output
        assert "protected" in refused.output
        assert not [call for call in cloud.calls if call.verb == "delete"], "all of it is still there"
        settings[f"{component}.deletion_protection"] = False
        deployed.stack.configure(settings)
        succeeded(deployed.stack.up())
    dependencies = {
        resource["urn"]: set(resource.get("dependencies", [])) | {resource.get("parent", "")}
        for resource in deployed.stack.exported()["resources"]
    }
    before = len(cloud.calls)
    succeeded(deployed.stack.destroy())
    assert [urn for urn in urns(cloud) if "AccountBaseline" not in urn] == [], "only what others use stays"
    deleted = [call.urn for call in cloud.calls[before:]]
    for position, urn in enumerate(deleted):
        assert dependencies[urn].isdisjoint(deleted[:position]), f"{urn} was deleted after what it stands on"


def test_the_stage_waits_for_the_role_that_it_logs_with(tmp_path: Path) -> None:
    """The stand-in account refuses it before. What fails on the way does not let the stage go first either."""

    def refuse(call: ProviderCall) -> None:
        if call.urn.endswith("::account-api-gateway-account"):
            raise Refused("BadRequestException: The role ARN does not have required permissions configured")

    cloud = Cloud(before=refuse)
    with our_stack(tmp_path, "prod", cloud) as stack:
        assert stack.up().returncode != 0
        assert not [urn for urn in urns(cloud) if urn.endswith("::chat-stage")]
        cloud.before = lambda call: None
        succeeded(stack.up())


# What goes wrong on the way.


@pytest.mark.parametrize("name", ["chat-role", "chat-function", "chat-deployment", "chat-usage-plan-key-default"])
def test_an_up_that_failed_in_the_middle_is_finished_by_the_next(name: str, tmp_path: Path) -> None:
    def refuse(call: ProviderCall) -> None:
        if call.urn.endswith(f"::{name}"):
            raise Refused("LimitExceededException: the account has no more of them")

    cloud = Cloud(before=refuse)
    with our_stack(tmp_path, "dev", cloud) as stack:
        failed = stack.up()
        assert failed.returncode != 0
        assert name in failed.output
        assert "LimitExceededException: the account has no more of them" in failed.output
        assert "Traceback" not in failed.output
        made = urns(cloud)
        cloud.before = lambda call: None
        finished = succeeded(stack.up())
        assert name in names(finished, "create")
        assert len(urns(cloud)) == len(set(urns(cloud)))
        assert set(made) < set(urns(cloud))
        assert set(succeeded(stack.preview()).steps().values()) == {"same"}

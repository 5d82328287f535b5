"""Programs that deploy with the Automation API: four stacks at once, from one process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pulumi
import pytest
from pulumi import automation

import pulumi_llm
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.cloud import Cloud
from pulumi_llm_local.engine.stack import Stack
from support.programs import ROOT
from system.engine.conftest import ENVIRONMENT

# Each in a Region of its own, with an alias of its own.
REGIONS = {"ohio": "us-east-2", "oregon": "us-west-2", "ireland": "eu-west-1", "tokyo": "ap-northeast-1"}


def program() -> None:
    stack = pulumi.get_stack()
    api = pulumi_llm.ServerlessBedrockApi(
        "chat",
        {"models": [{"name": stack, "model": "gpt-oss-20b"}], "keys": [{"name": f"{stack}-key"}], "deletion_protection": False},
    )
    pulumi.export("url", api.url)
    pulumi.export("keys", api.api_keys)


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[Cloud, automation.Stack]]]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as running:
        made: dict[str, tuple[Cloud, automation.Stack]] = {}
        for name, region in REGIONS.items():
            cloud = Cloud(api_gateway_log_role=True)
            played = running.enter_context(
                Stack(tmp_path / name, ROOT, name, cloud, environment=ENVIRONMENT, checkpoints=False)
            )
            environment = played.cli_environment()
            monkeypatch.setenv("PATH", environment["PATH"])  # where the Automation API looks for the CLI
            options = automation.LocalWorkspaceOptions(env_vars=environment)
            stack = automation.create_stack(name, "fleet", program, opts=options)
            stack.set_config("aws:region", automation.ConfigValue(region))
            made[name] = cloud, stack
        yield made


def test_four_stacks_deploy_at_once_and_stay_apart(stacks: dict[str, tuple[Cloud, automation.Stack]]) -> None:
    with ThreadPoolExecutor(len(stacks)) as at_once:
        results = dict(zip(stacks, at_once.map(lambda item: item[1].up(), stacks.values()), strict=True))
    for name, (cloud, stack) in stacks.items():
        arns = [arn for e in cloud if isinstance(arn := revealed(e.state).get("arn"), str) and ":lambda:" in arn]
        assert arns
        assert {arn.split(":")[3] for arn in arns} == {REGIONS[name]}
        outputs = results[name].outputs
        assert REGIONS[name] in outputs["url"].value
        assert list(outputs["keys"].value) == [f"{name}-key"]
        assert outputs["keys"].secret
        assert not stack.preview().change_summary.keys() - {automation.OpType.SAME}
        stack.destroy()
        assert list(cloud) == []

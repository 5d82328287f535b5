"""Unit tests of a program that imports the components: with the mocks of Pulumi's guide, and with ours (docs/testing.md)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.programs import ROOT

# As in https://www.pulumi.com/docs/iac/guides/testing/unit/
PLAIN = """\
import pulumi
import pytest

class MyMocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return [args.name + "_id", args.inputs]

    def call(self, args):
        return {}

pulumi.runtime.set_mocks(MyMocks(), preview=False)

import infra


@pulumi.runtime.test
def test_a_component():
    def check(values):
        name, stage, _ = values
        assert (name, stage) == (None, "api")
    return pulumi.Output.all(infra.chat.function_name, infra.chat.stage_name, infra.account.urn).apply(check)
"""
# Each component with what makes it use the most of what AWS computes, and a provider of the program's own.
INFRA = """\
import pulumi
import pulumi_aws as aws
import pulumi_llm

options = pulumi.ResourceOptions(provider=aws.Provider("there", region="eu-west-2"))
certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
chat = pulumi_llm.ServerlessBedrockApi("chat", {
    "models": ["gpt-oss-20b", {"name": "good", "model": "claude-haiku-4-5"}],
    "parameter_prefix": "/llm/test",
    "domain": {"name": "chat.example.com", "certificate_arn": certificate, "zone_id": "Z1"},
}, options)
jwt = {"issuer": "https://id.example.com", "audiences": ["chat"]}
other = pulumi_llm.ServerlessBedrockApi("other", {"models": ["mock"], "auth": "jwt", "jwt": jwt})
account = pulumi_llm.AccountBaseline("account", {
    "api_gateway_logs": True, "github_oidc": True, "bedrock_invocation_logs": True,
    "cost_anomalies": {"emails": ["costs@example.com"]},
})
"""


@pytest.mark.parametrize("mocks", ["plain", "ours"])
def test_a_programs_own_unit_tests_pass(mocks: str, tmp_path: Path) -> None:
    infra, tests = INFRA, PLAIN
    if mocks == "ours":
        infra, tests = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)
    (tmp_path / "infra.py").write_text(infra)
    (tmp_path / "test_infra.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PULUMI_LLM_BUNDLE": "host"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{tests.count('def test_')} passed" in done.stdout

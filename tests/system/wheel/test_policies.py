"""The policies' own distribution: a rule of one's own, its test and its pack, in a folder that knows of no checkout."""

import subprocess
import zipfile

import pytest
import uv

from support.programs import ROOT
from system.wheel.test_wheel import Environment, make_environment

RULE = """\
from collections.abc import Iterator

from llm_policies.rule import Resource, Rule, Settings


def check(bucket: Resource, settings: Settings) -> Iterator[str]:
    if bucket["forceDestroy"].flag():
        yield "forceDestroy is true"


RULE = Rule("s3-kept", "A bucket is kept.", "high", "Why.", "Leave it out", check=check, types=("aws:s3/bucket:Bucket",))
"""
TEST = """\
import json

from llm_policies.rules import RULES
from llm_policies.testing import UNKNOWN, problems, resource, unverified

from my_rule import RULE

BUCKET = "aws:s3/bucket:Bucket"
by_name = {rule.name: rule for rule in RULES}
statement = {"Effect": "Allow", "Action": "s3:NoSuchAction", "Resource": "arn:aws:s3:::b/*"}
document = {"Version": "2012-10-17", "Statement": [statement]}
policy = resource("aws:iam/rolePolicy:RolePolicy", {"policy": json.dumps(document)})
print(json.dumps([
    problems(RULE, resource(BUCKET)),
    problems(RULE, resource(BUCKET, {"forceDestroy": True})),
    unverified(RULE, resource(BUCKET, {"forceDestroy": UNKNOWN})),
    len(problems(by_name["iam-actions-exist"], policy)),
]))
"""
PACK = """\
from llm_policies.pack import serve
from llm_policies.rules import RULES
from my_rule import RULE

serve("mine", [*RULES, RULE])
"""
# What the engine does with a pack: it reads the port, asks what there is, and has a resource judged.
ENGINE = """\
import json, subprocess, sys

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

pack = subprocess.Popen([sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:0", "."], stdout=subprocess.PIPE)
try:
    with grpc.insecure_channel(f"127.0.0.1:{int(pack.stdout.readline())}") as channel:
        analyzer = analyzer_pb2_grpc.AnalyzerStub(channel)
        policies = [each.name for each in analyzer.GetAnalyzerInfo(empty_pb2.Empty()).policies]
        bucket = analyzer_pb2.AnalyzeRequest(type="aws:s3/bucket:Bucket", name="site", urn="urn:pulumi:d::p::t::site")
        bucket.properties.update({"forceDestroy": True})
        told = [each.policyName for each in analyzer.Analyze(bucket).diagnostics]
finally:
    pack.kill()
    pack.wait()
print(json.dumps([len(policies) > 70, "s3-kept" in policies, "s3-kept" in told]))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The distribution, with the lowest versions that it takes, and a folder with a rule and a pack."""
    folder = tmp_path_factory.mktemp("policies")
    build = [uv.find_uv_bin(), "build", "--wheel", "--offline", "--no-build-isolation", "--out-dir", str(folder)]
    done = subprocess.run([*build, str(ROOT / "policy")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("pulumi_llm_policies-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert names == {f"llm_policies/{path.name}" for path in (ROOT / "policy" / "llm_policies").iterdir() if path.is_file()}
    environment = make_environment(folder)
    environment.install("--resolution", "lowest-direct", "--requirements", str(ROOT / "policy" / "pyproject.toml"))
    environment.install("--no-deps", str(wheel))
    for name, text in {"my_rule.py": RULE, "test_rule.py": TEST, "__main__.py": PACK}.items():
        (environment.work / name).write_text(text)
    (environment.work / "PulumiPolicy.yaml").write_text("name: mine\nversion: 1.0.0\nruntime: python\n")
    return environment


def test_a_rule_of_one_s_own_is_tested(elsewhere: Environment) -> None:
    assert elsewhere.python((elsewhere.work / "test_rule.py").read_text()) == [[], ["forceDestroy is true"], "forceDestroy", 1]


def test_a_pack_of_one_s_own_is_served(elsewhere: Environment) -> None:
    assert elsewhere.python(ENGINE) == [True, True, True]

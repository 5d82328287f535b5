"""The components as a program in another language gets them: the engine starts components/__main__.py, and that constructs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.provider.experimental.util import camel_case

from contract.test_components import ARGUMENTS, CASES, COMPONENTS, ONCE_ONLY
from golden import write
from pulumi_llm.base.component import output_names
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine import command
from pulumi_llm_local.engine.cloud import Cloud, Existing
from pulumi_llm_local.engine.stack import Done, Stack
from support.programs import MODELS, ROOT
from system.engine.conftest import ENVIRONMENT, succeeded

# Physical names without a random end, so that two stacks can be compared.
PROJECT = {
    "name": "program",
    "runtime": "python",
    "config": {"pulumi:autonaming": {"value": {"pattern": "${name}"}}},
    "plugins": {"providers": [{"name": "llm", "path": "./plugin"}]},
}
# A component made as the SDKs that Pulumi generates make one.
REMOTE = """\
import pulumi
import pulumi_aws as aws

class Remote(pulumi.ComponentResource):
    def __init__(self, kind, name, args, opts=None, outputs=()):
        super().__init__(f"llm:index:{kind}", name, {**args, **dict.fromkeys(outputs)}, opts, remote=True)

"""
EVERY_CASE = """\
import json
import pathlib

for case in json.loads(pathlib.Path("cases.json").read_text()):
    made = Remote(case["component"], case["name"], case["args"], outputs=case["outputs"])
    for output in case["outputs"]:
        pulumi.export(f"{case['name']} {output}", getattr(made, output))
"""
# The same, where Python makes the component in the program.
LOCAL = """\
import pulumi
import pulumi_llm

def Remote(kind, name, args, outputs):
    return getattr(pulumi_llm, kind)(name, args)

"""


@contextmanager
def stack_of(
    folder: Path,
    source: str,
    files: Mapping[str, str] | None = None,
    *,
    project: Mapping[str, Any] | None = None,
    language_hosts: Mapping[str, Path] | None = None,
) -> Iterator[Stack]:
    """A program that the engine runs, with the components' plugin in reach. `project` is what else Pulumi.yaml says."""
    directory = folder / "program"
    plugin = directory / "plugin" / "pulumi-resource-llm"
    plugin.parent.mkdir(parents=True)
    # The part of Pulumi's language host for Python: `python FOLDER ENGINE-ADDRESS FLAGS…`.
    variables = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    plugin.write_text(f'#!/bin/sh\n{variables} exec "{sys.executable}" "{ROOT / "components"}" "$@"\n')
    plugin.chmod(0o755)
    (directory / "Pulumi.yaml").write_text(yaml.safe_dump({**PROJECT, **(project or {})}))
    (directory / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": {"aws:region": "us-east-1"}}))
    for name, text in {"__main__.py": source, **(files or {})}.items():
        (directory / name).write_text(text)
    stack = Stack(
        folder / "stack",
        directory,
        "test",
        Cloud(api_gateway_log_role=True),
        environment=ENVIRONMENT,
        checkpoints=False,
        language_hosts=language_hosts,
    )
    with stack:
        yield stack


def in_camel_case(value: Any) -> Any:
    if isinstance(value, list):
        return [in_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    # The keys of a map are the user's own, such as AWS's PROMPT_ATTACK.
    return {key if key.isupper() else camel_case(key): in_camel_case(item) for key, item in value.items()}


def resources(stack: Stack) -> dict[str, tuple[Any, ...]]:
    """What a stack's state has of each resource that is ours to choose."""
    kept = ("type", "parent", "protect", "retainOnDelete", "inputs", "outputs", "additionalSecretOutputs")
    found = {state["urn"]: tuple(state.get(key) for key in kept) for state in stack.exported()["resources"]}
    return {urn: state for urn, state in found.items() if "::pulumi:" not in urn}


def of(cloud: Cloud, name: str) -> Existing:
    (existing,) = (e for e in cloud if e.urn.endswith(f"::{name}"))
    return existing


def told(done: Done) -> str:
    """What the engine says of the component. What follows is the program's, which the engine left."""
    diagnostics = [event["diagnosticEvent"] for event in done.events if "diagnosticEvent" in event]
    errors = [diagnostic["message"] for diagnostic in diagnostics if diagnostic["severity"] == "error"]
    (message,) = (message for message in errors if "llm:index:" in message)
    return message


# Every component, with every set of arguments.


@dataclass
class Round:
    """The same components in two stacks: by the plugin, and in the program itself."""

    remote: Stack
    local: Stack
    up: Done
    folder: Path


def cases(number: int) -> list[tuple[str, str]]:
    """What an account has once stands once in a stack; of the rest, all are in the first."""
    once = [(name, label) for name in ONCE_ONLY for label in list(ARGUMENTS[name])[number : number + 1]]
    return once + [case for case in CASES if case[0] not in ONCE_ONLY and number == 0]


ROUNDS = max(len(ARGUMENTS[name]) for name in ONCE_ONLY)


@pytest.fixture(scope="module", params=range(ROUNDS))
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    folder = tmp_path_factory.mktemp("both")
    described: dict[str, list[dict[str, Any]]] = {"remote": [], "local": []}
    for component, label in cases(request.param):
        name = re.sub(r"[^a-z0-9]+", "-", f"{component[:3]}-{label}".lower())
        args, outputs = {**ARGUMENTS[component][label], "tags": {"cost_center": "42"}}, output_names(COMPONENTS[component])
        case = {"component": component, "name": name}
        described["local"].append({**case, "args": args, "outputs": outputs})
        remote = {**in_camel_case(args), "tags": args["tags"]}
        described["remote"].append({**case, "args": remote, "outputs": [camel_case(output) for output in outputs]})
    files = {where: {"cases.json": json.dumps(described[where])} for where in described}
    with (
        stack_of(folder / "remote", REMOTE + EVERY_CASE, files["remote"]) as remote,
        stack_of(folder / "local", LOCAL + EVERY_CASE, files["local"]) as local,
    ):
        with ThreadPoolExecutor() as at_once:
            up, in_python = at_once.map(Stack.up, (remote, local))
        succeeded(in_python)
        yield Round(remote, local, succeeded(up), folder)


def test_the_rounds_hold_every_case() -> None:
    assert sorted(case for number in range(ROUNDS) for case in cases(number)) == sorted(CASES)


def test_the_same_is_made_as_in_a_python_program(both: Round) -> None:
    def made(stack: Stack) -> dict[str, dict[str, Any]]:
        """Each resource's inputs; on the wire, the keys of a user's own policy document come in another order."""
        found = {e.urn: dict(revealed(e.inputs)) for e in stack.cloud}
        return {urn: {**each, "policy": json.loads(each.get("policy") or "null")} for urn, each in found.items()}

    assert made(both.remote)
    assert made(both.remote) == made(both.local)


def test_the_state_names_the_same_parents_and_options(both: Round) -> None:
    remote, local = resources(both.remote), resources(both.local)
    assert set(remote) == set(local)
    for urn, (kind, *options) in remote.items():
        assert (kind, *options[:3]) == local[urn][:4], urn


def test_every_output_arrives_under_its_schema_name(both: Round) -> None:
    def outputs(stack: Stack) -> dict[str, Any]:
        return json.loads(stack.run("stack", "output", "--json", "--show-secrets").output)

    remote, local = outputs(both.remote), outputs(both.local)
    assert remote == {f"{key.split()[0]} {camel_case(key.split()[1])}": value for key, value in local.items()}


def test_no_key_stands_in_plain_text_anywhere(both: Round) -> None:
    values = [revealed(e.state)["value"] for e in both.remote.cloud if e.token == "aws:apigateway/apiKey:ApiKey"]
    files = [path.read_bytes() for path in (both.folder / "remote" / "stack" / "state").rglob("*") if path.is_file()]
    printed = [both.up.output, json.dumps(both.up.events), both.remote.run("stack", "output", "--json").output]
    assert files
    assert bool(values) == any("ServerlessBedrockApi" in e.urn for e in both.remote.cloud)
    for value in values:
        assert not any(value.encode() in content for content in files)
        assert not any(value in text for text in printed)


# Arguments that come from other resources, numbers, and providers.

OUTPUTS = f"""\
elsewhere = aws.Provider("elsewhere", region="us-west-2")
key = aws.kms.Key("key", opts=pulumi.ResourceOptions(provider=elsewhere))
source = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-5-5"
profile = aws.bedrock.InferenceProfile("profile", model_source={{"copy_from": source}})
own = {{"model": profile.arn, "baseModel": "us.anthropic.claude-haiku-5-5"}}
Remote("ServerlessBedrockApi", "chat", {{
    "models": {MODELS!r},
    "kmsKeyArn": key.arn,
    "memoryMb": key.arn.apply(lambda _: 1024.0),
    "tags": {{"key": key.arn}},
    "customize": {{"authorizer-function": {{"memory_size": key.arn.apply(lambda _: 256)}}}},
}}, pulumi.ResourceOptions(providers=[elsewhere]))
Remote("ServerlessBedrockApi", "other", {{
    "models": [*{MODELS!r}, {{"name": "old", "model": "deepseek-r1"}}, {{"name": "shop", "targets": [own]}}],
    "webAdapterLayerVersion": 26.0,
    "timeoutSeconds": 60.0,
    "deletionProtection": False,
}})
"""


@pytest.fixture(scope="module")
def with_outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Done, Done]]:
    with stack_of(tmp_path_factory.mktemp("outputs"), REMOTE + OUTPUTS) as stack:
        yield stack, succeeded(stack.preview()), succeeded(stack.up())


def test_an_output_that_is_not_known_yet_is_taken(with_outputs: tuple[Stack, Done, Done]) -> None:
    stack, preview, up = with_outputs
    assert preview.steps() == up.steps()
    assert set(up.steps().values()) == {"create"}
    key = of(stack.cloud, "key").state["arn"]
    function = of(stack.cloud, "chat-function").inputs
    assert (function["kmsKeyArn"], function["memorySize"], function["tags"]["key"]) == (key, 1024, key)
    assert of(stack.cloud, "chat-authorizer-function").inputs["memorySize"] == 256
    # A model that is an application inference profile of the same program.
    profile = of(stack.cloud, "profile").state["arn"]
    assert of(stack.cloud, "other-function").inputs["environment"]["variables"]["BEDROCK_MODEL_1"] == profile
    called, behind = json.loads(of(stack.cloud, "other-bedrock-output-policy").inputs["policy"])["Statement"]
    assert called["Resource"] == [profile]
    assert behind["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": profile}}
    assert "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-5-5" in behind["Resource"]


def test_a_whole_number_is_no_float(with_outputs: tuple[Stack, Done, Done]) -> None:
    """On the wire every number is a float, which an ARN would show."""
    stack, _, _ = with_outputs
    function = of(stack.cloud, "other-function").inputs
    assert function["layers"][0].endswith(":LambdaAdapterLayerArm64:26")
    assert function["timeout"] == 60
    assert of(stack.cloud, "other-integration-chat").inputs["timeoutMilliseconds"] == 65_000


def test_a_provider_that_is_given_reaches_every_child(with_outputs: tuple[Stack, Done, Done]) -> None:
    stack, _, _ = with_outputs
    below = [state for state in stack.exported()["resources"] if "llm:index:ServerlessBedrockApi$aws:" in state["urn"]]
    for name, provider in (("chat", "elsewhere"), ("other", "default_")):
        children = [state for state in below if state["urn"].rpartition("::")[2].startswith(f"{name}-")]
        assert len(children) > 80
        wrong = [state["urn"] for state in children if f"::{provider}" not in state["provider"]]
        assert wrong == []
    function = of(stack.cloud, "chat-function")
    assert ":us-west-2:" in function.state["arn"]
    assert ":us-west-2:" in function.inputs["layers"][0]
    assert ":us-west-2:123456789012:inference-profile/" in of(stack.cloud, "chat-bedrock-policy").inputs["policy"]
    assert of(stack.cloud, "chat-integration-chat").inputs["uri"].startswith("arn:aws:apigateway:us-west-2:")


def test_what_a_component_logs_is_shown(with_outputs: tuple[Stack, Done, Done]) -> None:
    _, preview, _ = with_outputs
    assert "deepseek.r1-v1:0 is legacy" in preview.output


def test_a_component_that_is_there_stays_as_it_is(with_outputs: tuple[Stack, Done, Done]) -> None:
    stack, _, _ = with_outputs
    assert set(succeeded(stack.preview()).steps().values()) == {"same"}


# Arguments that are wrong.


def test_mistakes_come_all_at_once_in_the_caller_s_names(tmp_path: Path) -> None:
    args = {
        "models": [*MODELS, {"name": "own", "model": "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123"}],
        "providers": {"deepseek": {"type": "openai_compatible", "baseUrl": "http://example.com", "secretArn": "nope"}},
        "timeoutSeconds": 5,
        "parameterPrefix": "bad",
        "keys": [{"name": "web", "models": ["nope"]}],
        "auth": "jwt",
        "jwt": {"issuer": "http://id.example.com", "audiences": ["chat"]},
        "customize": {"functoin": {"memory_size": 256}},
    }
    with stack_of(tmp_path, f'{REMOTE}Remote("ServerlessBedrockApi", "chat", {args!r})\n') as stack:
        failed = stack.preview()
        assert not list(stack.cloud)
    assert failed.returncode != 0
    message = told(failed)
    assert "ServerlessBedrockApi has arguments that are wrong" in message
    of_provider = [f"providers.deepseek{key}" for key in (".baseUrl", ".secretArn", "")]
    for path in ("timeoutSeconds", "parameterPrefix", "keys[0].models[0]", "keys", "jwt.issuer", *of_provider):
        assert message.count(f"- property {path} ") == 1, path
    assert "must be between 10 and 895, not 5\n" in message
    assert "baseModel" in message
    assert "base_model" not in message
    assert "- property customize.functoin with value" in message
    assert "did you mean 'function'?" in message
    assert 'File "' not in message


def test_arguments_of_the_wrong_form_come_all_at_once(tmp_path: Path) -> None:
    args = """{
        "models": [{"nam": "fast", "model": "gpt-oss-20b"}],
        "timeoutSecond": 60,
        "debug": "yes",
        "dailyQuota": 1.5,
        "throttle": {"rateLimit": 1.5, "burstLimit": "2"},
        "tags": {"a": 1},
        "accessLogs": pulumi.Output.secret(True),
        "parameterPrefix": aws.kms.Key("key").arn,
    }"""
    with stack_of(tmp_path, f'{REMOTE}Remote("ServerlessBedrockApi", "chat", {args})\n') as stack:
        failed = stack.preview()
    message = told(failed)
    for path, reason in {
        "models[0].nam": "is not known; did you mean 'name'?",
        "models[0].name": "is required, but not given",
        "timeoutSecond": "is not known; did you mean 'timeoutSeconds'?",
        "debug": "must be true or false, not 'yes'",
        "dailyQuota": "must be a whole number, not 1.5",
        "throttle.burstLimit": "must be a whole number, not '2'",
        "tags.a": "must be a string, not 1",
        "accessLogs": "must be a plain value",
        "parameterPrefix": "must be a plain value",
    }.items():
        (line,) = (line for line in message.splitlines() if f"- property {path} " in line)
        assert reason in line
    assert message.count("- property ") == 9
    assert 'File "' not in message


# The plugin itself.


def test_the_cli_reads_the_schema_from_the_plugin(tmp_path: Path) -> None:
    """What `pulumi package add` generates an SDK from."""
    with stack_of(tmp_path, "") as stack:
        environment = {"PATH": os.environ["PATH"], "PULUMI_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
        plugin = tmp_path / "program" / "plugin" / "pulumi-resource-llm"
        done = subprocess.run(
            [str(command.find()), "package", "get-schema", str(plugin)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert stack
    assert done.returncode == 0, done.stderr
    served, golden = json.loads(done.stdout), json.loads(write.schema())
    assert set(served["resources"]) == set(golden["resources"])
    assert served["resources"]["llm:index:ServerlessBedrockApi"]["inputProperties"].keys() == (
        golden["resources"]["llm:index:ServerlessBedrockApi"]["inputProperties"].keys()
    )


def test_the_manifest_names_what_is_there() -> None:
    manifest = yaml.safe_load((ROOT / "components" / "PulumiPlugin.yaml").read_text())
    assert manifest["runtime"]["name"] == "python"
    assert (ROOT / "components" / "__main__.py").exists()
    lines = (ROOT / "components" / "requirements.txt").read_text().splitlines()
    (lock,) = (line.removeprefix("-r ") for line in lines if line and not line.startswith("#"))
    assert "\npulumi==" in (ROOT / "components" / lock).read_text()

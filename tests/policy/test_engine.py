"""The policy pack as the engine runs it: our stacks pass, a bad program is stopped by its rule, what is unknown is told."""

import json
import os
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from llm_policies.rules import RULES
from pulumi_llm_local.engine import command
from pulumi_llm_local.engine.stack import Done
from support.policies import PROGRAMS, TOLD_ONCE, names_told
from support.programs import ROOT
from system.engine.conftest import (
    RAW_PROGRAM,
    our_stack,
    program,
    pulumi_cli,  # noqa: F401  skips without the engine
    succeeded,
)

PACK = ROOT / "policy"
ALL = [program for programs in PROGRAMS.values() for program in programs]
STACK_RULES = {rule.name for rule in RULES if rule.check is None}
ALONE = [entry for entry in ALL if entry["rule"] in STACK_RULES]
TOGETHER = [entry for entry in ALL if entry["rule"] not in STACK_RULES]


def pack(config: str | Path) -> list[str]:
    return ["--policy-pack", str(PACK), "--policy-pack-config", str(config)]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every rule is mandatory."""
    file = tmp_path_factory.mktemp("config") / "strict.json"
    file.write_text(json.dumps({"all": "mandatory"}))
    return file


def violations(done: Done) -> dict[str, set[str]]:
    """The rules that were broken, by the resource's name; what could not be verified is left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for event in policy_events(done):
        if "Not verified now:" not in event["message"] and event["policyName"] not in ("exceptions", "not-judged"):
            of = names_told(event) if event["policyName"] in TOLD_ONCE else [event.get("resourceUrn", "").rpartition("::")[2]]
            for name in of:
                found[name].add(event["policyName"])
    return dict(found)


def not_verified(done: Done) -> list[str]:
    return [event["message"] for event in policy_events(done) if "Not verified now:" in event["message"]]


def policy_events(done: Done) -> list[dict[str, Any]]:
    return [event["policyEvent"] for event in done.events if "policyEvent" in event]


@pytest.mark.parametrize(("name", "more"), [("dev", {}), ("prod", {}), ("dev", {"api.flags": True})])
def test_our_own_stacks_pass_at_preview_and_at_up(name: str, more: dict[str, Any], tmp_path: Path) -> None:
    arguments = pack(PACK / "config" / f"{name}.json")
    with our_stack(tmp_path, name) as stack:
        stack.configure(more)
        preview = succeeded(stack.preview(*arguments))
        assert violations(preview) == {}
        told = not_verified(preview)
        assert any("chat-logs-policy: policy is not known before `up`" in text for text in told)
        assert len(told) == len(set(told))
        up = succeeded(stack.up(*arguments))
        assert violations(up) == {}
        assert not_verified(up) == [], "at up, everything is verified"


def resources(entries: list[dict[str, Any]], which: str) -> dict[str, Any]:
    return {f"{entry['name']}--{name}": resource for entry in entries for name, resource in entry[which].items()}


def test_bad_programs_are_stopped_at_preview_each_by_its_own_rule(strict: Path, tmp_path: Path) -> None:
    """All whose rules judge a resource by itself, in one program."""
    with program(tmp_path, RAW_PROGRAM, resources=resources(TOGETHER, "resources")) as stack:
        done = stack.preview(*pack(strict))
    assert done.returncode != 0
    found: dict[str, set[str]] = defaultdict(set)
    for name, rules in violations(done).items():
        found[name.partition("--")[0]] |= rules - STACK_RULES
    expected = {entry["name"]: {entry["rule"]} for entry in TOGETHER}
    assert {name: rules for name, rules in found.items() if rules} == expected


@pytest.mark.parametrize("entry", ALONE, ids=[entry["name"] for entry in ALONE])
def test_a_program_whose_resources_are_bad_together_is_stopped(entry: dict[str, Any], strict: Path, tmp_path: Path) -> None:
    with program(tmp_path, RAW_PROGRAM, resources=entry["resources"]) as stack:
        done = stack.preview(*pack(strict))
        if not done.returncode:  # what they have in common is an id or an ARN, which only AWS gives
            assert violations(done) == {}
            assert any(f"Not verified now: {entry['rule']}" in text for text in not_verified(done))
            done = stack.up(*pack(strict))
        assert done.returncode != 0
        assert set().union(*violations(done).values()) == {entry["rule"]}


def test_the_same_programs_mended_are_not(strict: Path, tmp_path: Path) -> None:
    """All in one stack: what is right alone is right beside others."""
    with program(tmp_path, RAW_PROGRAM, resources=resources(ALONE, "mended")) as stack:
        assert violations(succeeded(stack.preview(*pack(strict)))) == {}


@pytest.mark.parametrize("which", ["resources", "mended"])
def test_up_makes_the_mended_programs_and_refuses_the_others(which: str, strict: Path, tmp_path: Path) -> None:
    with program(tmp_path, RAW_PROGRAM, resources=resources(TOGETHER, which)) as stack:
        done = stack.up(*pack(strict), "--parallel=4")
        if which == "mended":
            by_resource = {name: rules - STACK_RULES for name, rules in violations(done).items()}
            assert {name: rules for name, rules in by_resource.items() if rules} == {}
        else:
            assert done.returncode != 0
            assert len(list(stack.cloud)) < len(resources(TOGETHER, which))


UNKNOWN_POLICY = """\
import json

import pulumi
import pulumi_aws as aws

tags = {"Project": "chat", "Environment": "test", "Owner": "platform"}
assume = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
trust = json.dumps({"Version": "2012-10-17", "Statement": [assume]})
queue = aws.sqs.Queue("queue", tags=tags)
role = aws.iam.Role("role", assume_role_policy=trust, tags=tags)
statement = {"Effect": "Allow", "Action": "sqs:*", "Resource": queue.arn}
aws.iam.RolePolicy("late", role=role.id, policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]}))
"""


def test_what_is_unknown_at_preview_is_told_by_name_and_enforced_at_up(strict: Path, tmp_path: Path) -> None:
    with program(tmp_path, UNKNOWN_POLICY) as stack:
        preview = succeeded(stack.preview(*pack(strict)))
        assert violations(preview) == {}
        (told,) = [text for text in not_verified(preview) if "late: policy is not known before `up`" in text]
        assert "iam-no-wildcard-action" in told
        up = stack.up(*pack(strict))
        assert up.returncode != 0
        assert violations(up) == {"late": {"iam-no-wildcard-action"}}
        assert [existing.urn for existing in stack.cloud if existing.urn.endswith("::late")] == [], "it was never made"


MENDED = """\
import pulumi_aws as aws

key = aws.kms.Key("key", enable_key_rotation=True, tags={"Owner": "ana"})
aws.cloudwatch.LogGroup("logs", kms_key_id=key.arn, tags={"Owner": key.key_id})
"""


def test_what_a_rule_can_mend_is_mended(tmp_path: Path) -> None:
    """Beside values that are not known before `up`, which stay as they are."""
    config = tmp_path / "remediate.json"
    values = {"Project": "chat", "Environment": "test"}
    levels = {"log-retention": {"enforcementLevel": "remediate", "default_days": 14}}
    config.write_text(
        json.dumps({"all": "disabled", **levels, "required-tags": {"enforcementLevel": "remediate", "values": values}})
    )
    with program(tmp_path, MENDED) as stack:
        succeeded(stack.preview(*pack(config)))
        succeeded(stack.up(*pack(config)))
        (key,) = stack.cloud.of_type("aws:kms/key:Key")
        (logs,) = stack.cloud.of_type("aws:cloudwatch/logGroup:LogGroup")
        assert logs.inputs["retentionInDays"] == 14
        assert logs.inputs["kmsKeyId"].startswith("arn:aws:kms:")
        assert key.inputs["tags"] == {"Owner": "ana", **values}
        assert logs.inputs["tags"] == {"Owner": logs.inputs["kmsKeyId"].rpartition("/")[2], **values}
        again = succeeded(stack.up(*pack(config)))
        assert set(again.steps().values()) == {"same"}


def test_a_state_is_analysed_offline(strict: Path, tmp_path: Path) -> None:
    """`pulumi policy analyze` over an exported state: no login, no program, no account."""
    bad = next(entry for entry in TOGETHER if entry["rule"] == "iam-no-wildcard-action")
    for which, status in (("resources", False), ("mended", True)):
        with program(tmp_path / which, RAW_PROGRAM, resources=bad[which]) as stack:
            succeeded(stack.up())
            state = tmp_path / f"{which}.json"
            state.write_text(json.dumps({"version": 3, "deployment": stack.exported()}))
            done = stack.run("policy", "analyze", "--file", str(state), *pack(strict))
            assert (done.returncode == 0) is status, done.output
            assert ("iam-no-wildcard-action" in done.output) is not status

    # A policy that is a secret, which cannot be decrypted: it is not judged, and it is told that it is not.
    exported = json.loads(state.read_text())
    ciphertext = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "AAAA"}
    for made in exported["deployment"]["resources"]:
        if "policy" in made.get("inputs", {}):
            made["inputs"]["policy"] = made["outputs"]["policy"] = ciphertext
    exported["deployment"]["secrets_providers"] = {"type": "service", "state": {"url": "http://127.0.0.1:9"}}
    state.write_text(json.dumps(exported))
    done = stack.run("policy", "analyze", "--file", str(state), *pack(strict))
    assert "policy is a secret that is not decrypted here" in done.output, done.output
    assert "no JSON" not in done.output


EXCEPTED = """\
import pulumi_aws as aws

for name in ("site", "old", "data"):
    aws.s3.Bucket(name, force_destroy=True)
aws.cloudcontrol.Resource("foreign", type_name="AWS::S3::Bucket", desired_state="{}")
"""


def test_exceptions_and_mistakes_of_a_configuration(tmp_path: Path) -> None:
    """An exception that holds, one that has ended and one without use; a type that is not judged; a rule's name misspelt."""
    entry = {"rule": "deletion-protection", "reason": "it is made anew each night"}
    until = {"site": "2999-12-31", "old": "2026-01-31", "logs": "2999-12-31"}
    exceptions = {"list": [{**entry, "resource": name, "until": day} for name, day in until.items()]}
    levels: dict[str, Any] = {"all": "disabled", "deletion-protection": "mandatory", "not-judged": "advisory"}
    config = tmp_path / "exceptions.json"
    config.write_text(json.dumps({**levels, "exceptions": exceptions}))
    with program(tmp_path, EXCEPTED) as stack:
        done = stack.preview(*pack(config))
        assert done.returncode != 0
        told = [(event["policyName"], event["message"].partition("\n")[2].strip()) for event in policy_events(done)]
        assert {(name, message.partition(":")[0]) for name, message in told if name == "deletion-protection"} == {
            ("deletion-protection", "forceDestroy is true")
        }
        assert violations(done)["old"] == violations(done)["data"] == {"deletion-protection"}
        assert sorted(message for name, message in told if name == "exceptions") == [
            "deletion-protection of logs: the exception is of no use: nothing is found there, or there is no such resource; "
            "remove it",
            "deletion-protection of old: the exception ended on 2026-01-31, so that the rule applies: correct the resource, or "
            "renew it",
            "deletion-protection of site: excepted until 2999-12-31: it is made anew each night",
        ]
        (not_judged,) = [message for name, message in told if name == "not-judged"]
        assert not_judged.endswith(": aws:cloudcontrol/resource:Resource (1)")

        config.write_text(json.dumps({"deletion-protectoin": "mandatory", "log-retention": {"days": 3}}))
        done = stack.preview(*pack(config))
        assert done.returncode != 0
        assert "there is no rule 'deletion-protectoin'; 'deletion-protection' is meant?" in done.output
        assert "log-retention: there is no setting 'days'" in done.output


def test_make_policy_says_who_answered(tmp_path: Path) -> None:
    environment = {
        "PATH": f"{command.find().parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PULUMI_LLM_CACHE": os.environ.get("PULUMI_LLM_CACHE", str(Path.home() / ".cache" / "pulumi-llm")),
    }
    arguments = ["make", "--no-print-directory", "--old-file=.venv/ready", "policy", "STACK=prod"]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stand-ins answer for AWS" in done.stderr
    assert "pulumi-llm" in done.stdout

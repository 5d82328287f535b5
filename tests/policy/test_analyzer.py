"""The pack as the engine talks to it: configuration and its mistakes, exceptions, remediation, what is told once."""

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import analyzer_pb2 as protocol

from llm_policies import properties
from llm_policies.analyzer import Analyzer
from llm_policies.rule import Resource, Rule, Setting, Settings
from llm_policies.rules import RULES
from llm_policies.testing import UNKNOWN

TODAY = datetime.date(2026, 7, 1)
NOT_KNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
LEVELS = {
    "advisory": protocol.ADVISORY,
    "mandatory": protocol.MANDATORY,
    "remediate": protocol.REMEDIATE,
    "disabled": protocol.DISABLED,
}
BUCKET, LOGS, TABLE = "aws:s3/bucket:Bucket", "aws:cloudwatch/logGroup:LogGroup", "aws:dynamodb/table:Table"


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": value}


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::tests::{kind}::{name}"


def struct(given: Mapping[str, Any]) -> Struct:
    made = Struct()
    made.update(dict(given))
    return made


def request(
    kind: str, inputs: Mapping[str, Any], name: str = "tested", *, provider: Mapping[str, Any] | None = None
) -> protocol.AnalyzeRequest:
    made = protocol.AnalyzeRequest(type=kind, name=name, urn=urn(kind, name), properties=struct(inputs))
    made.provider.type = "pulumi:providers:aws"
    made.provider.properties.update(dict(provider or {}))
    return made


class Aborted(Exception):
    pass


class Context:
    def abort(self, code: grpc.StatusCode, details: str) -> None:
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        raise Aborted(details)


def analyzer(rules: Any = RULES, *, preview: bool | None = None, **config: Mapping[str, Any]) -> Analyzer:
    """A pack with a configuration as the engine hands it over: with the level that a rule has from `all`.

    `preview=None`: `pulumi policy analyze`.
    """
    made = Analyzer("pack", rules, today=lambda: TODAY)
    asked = protocol.ConfigureAnalyzerRequest()
    of_all = config.get("all", {}).get("level")
    entries: dict[str, Mapping[str, Any]] = {rule.name: {} for rule in rules} if of_all else {}
    for name, entry in {**entries, **config}.items():
        asked.policyConfig[name].enforcementLevel = LEVELS[entry.get("level", of_all or "mandatory")]
        asked.policyConfig[name].properties.update({key: value for key, value in entry.items() if key != "level"})
    made.Configure(asked, Context())  # pyright: ignore
    if preview is not None:
        made.ConfigureStack(protocol.AnalyzerStackConfigureRequest(dry_run=preview), None)
    return made


def told(response: protocol.AnalyzeResponse, rule: str = "") -> list[str]:
    """What is told, without the rule's title, and with the level of what is not mandatory."""
    return [
        ("" if each.enforcementLevel == protocol.MANDATORY else f"{protocol.EnforcementLevel.Name(each.enforcementLevel)} ")
        + f"{each.policyName}: {each.message.partition(chr(10))[2]}"
        for each in response.diagnostics
        if rule in ("", each.policyName)
    ]


def stack(*requests: protocol.AnalyzeRequest) -> protocol.AnalyzeStackRequest:
    asked = protocol.AnalyzeStackRequest()
    for each in requests:
        made = protocol.AnalyzerResource(type=each.type, name=each.name, urn=each.urn, properties=each.properties)
        if each.HasField("provider"):
            made.provider.CopyFrom(each.provider)
        asked.resources.append(made)
    return asked


# A rule of one's own, so that nothing here depends on the pack's.


def _kept(bucket: Resource, settings: Settings) -> Iterator[str]:
    if bucket["forceDestroy"].flag() and not settings["allowed"]:
        yield "forceDestroy is true"


def _one(resources: Any, _: Settings) -> Iterator[tuple[Resource | None, str]]:
    for each in resources[1:]:
        yield each, "a second one"


KEPT = Rule(
    *("s3-kept", "A bucket is kept.", "high", "Why.", "Leave forceDestroy out"),
    check=_kept,
    types=(BUCKET,),
    settings={"allowed": Setting(False, {"type": "boolean"}, "Whether it may.")},
    frameworks=("AWS FSBP S3.99",),
    url="https://docs.aws.amazon.com/s3",
)
ONE = Rule("s3-one", "There is one bucket.", "low", "Why.", "Remove one", check_stack=_one, types=(BUCKET,))
OWN = (KEPT, ONE)
BAD = request(BUCKET, {"forceDestroy": True}, "site")


def test_what_is_told_says_how_to_fix_it_and_where_the_rule_comes_from() -> None:
    assert told(analyzer(OWN).Analyze(BAD, None)) == [
        "s3-kept: forceDestroy is true. Leave forceDestroy out. [AWS FSBP S3.99, https://docs.aws.amazon.com/s3]"
    ]


# The configuration.


@pytest.mark.parametrize(
    ("config", "mistake"),
    [
        ({"s3-kpet": {}}, "there is no rule 's3-kpet'; 's3-kept' is meant?"),
        ({"exception": {}}, "there is no rule 'exception'; 'exceptions' is meant?"),
        ({"s3-kept": {"alowed": True}}, "s3-kept: there is no setting 'alowed'; 'allowed' is meant?; it has allowed"),
        ({"s3-one": {"x": True}}, "s3-one: there is no setting 'x'; it has none"),
        (
            {"all": {"level": "disabled"}, "s3-kept": {"allowed": True}},
            's3-kept: it has settings, but "all" disables it: give it an "enforcementLevel", such as "mandatory", or leave the '
            "settings out",
        ),
        ({"s3-kept": {"level": "remediate"}}, "s3-kept: nothing can remediate it"),
        (
            {"exceptions": {"list": [{"rule": "s3-kpet", "resource": "x", "reason": "r", "until": "2027-01-01"}]}},
            "exceptions.list[0]: there is no rule 's3-kpet'; 's3-kept' is meant?",
        ),
        (
            {"exceptions": {"list": [{"rule": "s3-kept", "resource": "x", "reason": " ", "until": "2027-01-01"}]}},
            "exceptions.list[0]: reason is empty",
        ),
        (
            {"exceptions": {"list": [{"rule": "s3-kept", "resource": "x", "reason": "r", "until": "next year"}]}},
            "exceptions.list[0]: until is 'next year': write the last day of the exception, as in 2026-12-31",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_an_error_that_says_what_would_be_right(
    config: dict[str, dict[str, Any]], mistake: str
) -> None:
    with pytest.raises(Aborted) as raised:
        analyzer(OWN, **config)
    assert mistake in str(raised.value)


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(Aborted, match=r"s3-kpet(.|\n)*s3-oen"):
        analyzer(OWN, **{"s3-kpet": {}, "s3-oen": {}})


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"s3-kept": {"allowed": True}}, 0),
        ({"s3-kept": {"level": "disabled", "reason": "a sandbox"}}, 0),
        ({"all": {"level": "disabled"}}, 0),
        ({"all": {"level": "disabled"}, "s3-kept": {"level": "mandatory", "allowed": False}}, 1),
        ({"all": {"level": "remediate"}}, 1),
    ],
)
def test_levels_and_settings(config: dict[str, dict[str, Any]], found: int) -> None:
    assert len(told(analyzer(OWN, **config).Analyze(BAD, None))) == found


# Exceptions.


def excepted(rule: str, resource: str, until: str = "2026-07-01") -> dict[str, Any]:
    return {"exceptions": {"list": [{"rule": rule, "resource": resource, "reason": "a public site", "until": until}]}}


GOOD = request(BUCKET, {}, "site")
UNSEEN = request(BUCKET, {"forceDestroy": NOT_KNOWN}, "site")


@pytest.mark.parametrize(
    ("given", "resource", "until", "found", "of_it"),
    [
        (BAD, "site", "2026-07-01", [], ["s3-kept of site: excepted until 2026-07-01: a public site"]),
        (BAD, urn(BUCKET, "site"), "2027-01-01", [], ["excepted until 2027-01-01: a public site"]),
        (BAD, "site", "2026-06-30", ["forceDestroy is true"], ["the exception ended on 2026-06-30"]),
        (BAD, "other", "2026-07-01", ["forceDestroy is true"], ["s3-kept of other: the exception is of no use"]),
        (GOOD, "site", "2026-07-01", [], ["s3-kept of site: the exception is of no use"]),
        (UNSEEN, "site", "2026-07-01", [], []),
    ],
    ids=["by its name", "by its URN", "expired", "another resource", "nothing found", "not known"],
)
def test_a_resource_is_excepted_until_a_day(
    given: protocol.AnalyzeRequest, resource: str, until: str, found: list[str], of_it: list[str]
) -> None:
    tried = analyzer(OWN, preview=True, **excepted("s3-kept", resource, until))
    lines = told(tried.Analyze(given, None))
    assert len(lines) == len(found) and all(part in line for part, line in zip(found, lines, strict=True))
    lines = told(tried.AnalyzeStack(stack(given), None))
    assert len(lines) == len(of_it) and all(part in line for part, line in zip(of_it, lines, strict=True))
    assert all(line.startswith("ADVISORY exceptions: ") for line in lines)


def test_a_resource_is_excepted_from_a_rule_on_the_stack() -> None:
    two = stack(request(BUCKET, {}, "a"), request(BUCKET, {}, "b"))
    assert told(analyzer(OWN).AnalyzeStack(two, None), "s3-one")
    response = analyzer(OWN, **excepted("s3-one", "b")).AnalyzeStack(two, None)
    assert told(response, "s3-one") == []
    (used,) = response.diagnostics
    assert (used.policyName, used.urn) == ("exceptions", urn(BUCKET, "b"))


# What is not known, and what is not judged.

ROLE = "aws:iam/rolePolicy:RolePolicy"


def test_a_redacted_secret_is_not_known() -> None:
    """`pulumi policy analyze` of a state whose secrets it cannot decrypt."""
    lines = told(analyzer(all={"level": "mandatory"}).Analyze(request(ROLE, {"role": "r", "policy": secret("[secret]")}), None))
    assert len(lines) == 1
    assert lines[0].startswith("ADVISORY iam-document-valid: tested: policy is a secret that is not decrypted here, or is not")
    assert "iam-no-wildcard-action" in lines[0]


def test_a_secret_is_read() -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs:::q"}]}
    inputs = {"role": "r", "policy": secret(json.dumps(policy))}
    assert told(analyzer().Analyze(request(ROLE, inputs), None), "iam-no-wildcard-action")


def test_properties_become_plain_data() -> None:
    asset = {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "text": "hello"}
    given = {
        "list": [1, 2.5, {"late": NOT_KNOWN}],
        "map": secret({"a": True, "none": None}),
        "late": NOT_KNOWN,
        "redacted": "[secret]",
        "asset": asset,
        "other": {SIGNATURE: "something new"},
    }
    assert properties.read(struct(given)) == {
        "list": [1, 2.5, {"late": UNKNOWN}],
        "map": {"a": True, "none": None},
        "late": UNKNOWN,
        "redacted": UNKNOWN,
        "asset": {"text": "hello"},
        "other": UNKNOWN,
    }


def test_types_that_no_rule_judges_are_told_once() -> None:
    native = [request("aws-native:s3:Bucket", {}, name) for name in ("a", "b")]
    template = request("aws:cloudformation/stack:Stack", {"templateBody": "{}"})
    component = protocol.AnalyzeRequest(type="awsx:ec2:Vpc", name="vpc", urn=urn("awsx:ec2:Vpc", "vpc"))
    several = stack(*native, template, component, request("random:index/randomId:RandomId", {}), request(BUCKET, {}))
    response = analyzer().AnalyzeStack(several, None)
    assert all(each.urn for each in response.diagnostics), "`pulumi policy analyze` ends with a panic without"
    (line,) = told(response, "not-judged")
    assert line.startswith("ADVISORY ")
    assert line.endswith(": aws-native:s3:Bucket (2), aws:cloudformation/stack:Stack (1)")
    off = analyzer(**{"not-judged": {"level": "disabled"}})
    assert told(off.AnalyzeStack(several, None), "not-judged") == []


# Tags: told once, counted from the provider, remediated.


def test_missing_tags_are_told_in_one_line_of_all_resources() -> None:
    tried = analyzer(all={"level": "mandatory"}, preview=True)
    for number in range(12):
        assert told(tried.Analyze(request(TABLE, {"tags": {"Project": "chat"}}, f"t{number}"), None), "required-tags") == []
    tried.Analyze(request(TABLE, {"tags": NOT_KNOWN}, "late"), None)
    lines = told(tried.AnalyzeStack(stack(), None), "required-tags")
    assert len(lines) == 2
    assert lines[0].startswith("required-tags: t0, t1, t2, t3, t4, t5, t6, t7 and 4 more: tags lacks Environment")
    assert lines[1].startswith("ADVISORY required-tags: late: tags is not known before `up`")
    assert told(tried.AnalyzeStack(stack(), None), "required-tags") == [], "the next run begins anew"


def test_at_up_a_mandatory_tag_stops_the_resource_before_it_is_made() -> None:
    assert told(analyzer(all={"level": "mandatory"}, preview=False).Analyze(request(TABLE, {}), None), "required-tags")


@pytest.mark.parametrize(
    "defaults", [json.dumps({"tags": {"Project": "a", "Environment": "b"}}), {"tags": {"Project": "a", "Environment": "b"}}]
)
def test_a_provider_s_default_tags_count(defaults: Any) -> None:
    tried = analyzer(all={"level": "mandatory"}, preview=False)
    given = request(TABLE, {}, provider={"defaultTags": defaults})
    assert told(tried.Analyze(given, None), "required-tags") == []
    assert told(tried.Analyze(request(TABLE, {}, provider={"defaultTags": NOT_KNOWN}), None), "required-tags")


def remediated(kind: str, inputs: Mapping[str, Any], **config: Mapping[str, Any]) -> list[dict[str, Any]]:
    response = analyzer(preview=True, **config).Remediate(request(kind, inputs), None)
    assert all(each.diagnostic == "" for each in response.remediations)
    return [json_format.MessageToDict(each.properties) for each in response.remediations]


TAGS = {"required-tags": {"level": "remediate", "values": {"Project": "chat", "Environment": "dev"}}}
RETENTION = {"log-retention": {"level": "remediate", "default_days": 14}}


@pytest.mark.parametrize(
    ("inputs", "mended"),
    [
        ({"kmsKeyId": NOT_KNOWN, "name": secret("x")}, {"retentionInDays": 14}),
        ({"kmsKeyId": NOT_KNOWN, "tags": {"Owner": NOT_KNOWN}, "retentionInDays": 0}, {"retentionInDays": 14}),
        ({"retentionInDays": 30}, None),
        ({"retentionInDays": NOT_KNOWN}, None),
    ],
)
def test_a_remediation_leaves_all_others_as_they_are(inputs: dict[str, Any], mended: dict[str, Any] | None) -> None:
    expected = [] if mended is None else [{**inputs, **mended}]
    assert remediated(LOGS, inputs, **RETENTION) == expected


@pytest.mark.parametrize(
    ("inputs", "mended"),
    [
        ({"kmsKeyArn": NOT_KNOWN}, {"tags": {"Project": "chat", "Environment": "dev"}}),
        ({"tags": {"Owner": NOT_KNOWN, "Project": "x"}}, {"tags": {"Owner": NOT_KNOWN, "Project": "x", "Environment": "dev"}}),
        ({"tags": secret({"Project": "x"})}, {"tags": secret({"Project": "x", "Environment": "dev"})}),
        ({"tags": NOT_KNOWN}, None),
        ({"tags": NOT_KNOWN, "tagsAll": {"Project": "x"}}, None),
        (
            {"tags": {}, "tagsAll": {"Project": "x"}},
            {"tags": {"Environment": "dev"}, "tagsAll": {"Project": "x", "Environment": "dev"}},
        ),
    ],
)
def test_tags_are_added_to_those_that_are_there(inputs: dict[str, Any], mended: dict[str, Any] | None) -> None:
    expected = [] if mended is None else [{**inputs, **mended}]
    assert remediated(TABLE, inputs, **TAGS) == expected


def test_two_remediations_of_a_resource_follow_one_another() -> None:
    first, second = remediated(LOGS, {"kmsKeyId": NOT_KNOWN}, **TAGS, **RETENTION)
    assert second == {**first, "tags": {"Project": "chat", "Environment": "dev"}}
    assert first["retentionInDays"] == 14


def test_what_is_excepted_is_not_remediated() -> None:
    assert remediated(LOGS, {}, **RETENTION, **excepted("log-retention", "tested")) == []

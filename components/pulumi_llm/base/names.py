"""The name of a component, as far as the physical names that are made of it bound it."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import pulumi

from pulumi_llm.base.problems import Problem, shown


class _Physical(NamedTuple):
    """What AWS takes as the name of a resource type."""

    length: int
    characters: str
    described: str


# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html (the provider makes the letters small)
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutDeliveryDestination.html
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateGuardrail.html
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateKnowledgeBase.html
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateDataSource.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
# https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_CreateApplication.html, …/API_CreateEnvironment.html and
# …/API_CreateDeploymentStrategy.html; a profile's name may have 128 characters
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateArchive.html, …/API_PutRule.html and
# https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_CreatePipe.html
_KNOWLEDGE = _Physical(100, r"[A-Za-z0-9](?:[_-]?[A-Za-z0-9])*", "letters and digits, with single '-' or '_' between them,")
_OF_EVENTS = r"[A-Za-z0-9._-]+", "letters, digits, '.', '-' and '_'"
_APPCONFIG = _Physical(64, r"(?s).+", "any characters")
_PHYSICAL = {
    "aws:lb/loadBalancer:LoadBalancer": _Physical(32, r"[A-Za-z0-9-]+", "letters, digits and '-'"),
    "aws:s3/bucket:Bucket": _Physical(63, r"[A-Za-z0-9-]+", "letters, digits and '-'"),
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": _Physical(
        60, r"[A-Za-z0-9_-]+", "letters, digits, '-' and '_'"
    ),
    "aws:bedrock/guardrail:Guardrail": _Physical(50, r"[A-Za-z0-9_-]+", "letters, digits, '-' and '_'"),
    "aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase": _KNOWLEDGE,
    "aws:bedrock/agentDataSource:AgentDataSource": _KNOWLEDGE,
    "aws:lambda/function:Function": _Physical(64, r"[A-Za-z0-9_-]+", "letters, digits, '-' and '_'"),
    "aws:sqs/queue:Queue": _Physical(80, r"[A-Za-z0-9_-]+", "letters, digits, '-' and '_'"),
    "aws:cloudwatch/eventArchive:EventArchive": _Physical(48, *_OF_EVENTS),
    "aws:cloudwatch/eventRule:EventRule": _Physical(64, *_OF_EVENTS),
    "aws:pipes/pipe:Pipe": _Physical(64, *_OF_EVENTS),
    "aws:iam/role:Role": _Physical(64, r"[A-Za-z0-9_+=,.@-]+", "letters, digits and _ + = , . @ -"),
    "aws:appconfig/application:Application": _APPCONFIG,
    "aws:appconfig/environment:Environment": _APPCONFIG,
    "aws:appconfig/deploymentStrategy:DeploymentStrategy": _APPCONFIG,
}
# What Pulumi adds to a logical name: a hyphen and seven random digits.
# https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
_SUFFIX = 8


def name_problems(
    name: str,
    children: Mapping[str, type[pulumi.Resource]],
    customize: Mapping[str, Mapping[str, Any] | None],
    instances: Mapping[str, Collection[str]],
) -> Iterator[Problem]:
    """Yield what is wrong with a component's name, for the children that are made.

    A child whose name `customize` gives does not bound it. `instances` are what stands behind a key where several children have
    it, such as `instance` in NAME-key-instance.
    """
    bounds = {
        key: physical
        for key, kind in children.items()
        if (physical := _PHYSICAL.get(getattr(kind, "pulumi_type", ""))) and not (customize.get(key) or {}).get("name")
    }
    for physical in _PHYSICAL.values():  # the strictest first
        if physical in bounds.values() and re.fullmatch(physical.characters, name) is None:
            yield Problem("name", f"{shown(name)} becomes part of names of which AWS takes {physical.described} only")
            return
    if not bounds:
        return
    ends = {key: "".join(f"-{part}" for part in (key, max(instances.get(key) or [""], key=len)) if part) for key in bounds}
    key, longest = max(((key, bounds[key].length - len(end) - _SUFFIX) for key, end in ends.items()), key=lambda b: -b[1])
    if len(name) > longest:
        yield Problem(
            "name",
            f"{shown(name)} has {len(name)} characters; at most {longest} leave room for {ends[key]!r} and Pulumi's random "
            f"digits in the {bounds[key].length} that AWS takes",
        )

"""The name of a component, as far as the physical names that are made of it bound it."""

import re
from collections.abc import Iterator, Mapping
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
_KNOWLEDGE = _Physical(100, r"[A-Za-z0-9](?:[_-]?[A-Za-z0-9])*", "letters and digits, with single '-' or '_' between them,")
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
    "aws:iam/role:Role": _Physical(64, r"[A-Za-z0-9_+=,.@-]+", "letters, digits and _ + = , . @ -"),
    "aws:appconfig/application:Application": _APPCONFIG,
    "aws:appconfig/environment:Environment": _APPCONFIG,
    "aws:appconfig/deploymentStrategy:DeploymentStrategy": _APPCONFIG,
}
# What Pulumi adds to a logical name: a hyphen and seven random digits.
# https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
_SUFFIX = 8


def name_problems(
    name: str, children: Mapping[str, type[pulumi.Resource]], customize: Mapping[str, Mapping[str, Any] | None]
) -> Iterator[Problem]:
    """Yield what is wrong with a component's name, for the children that are made.

    A child whose name `customize` gives does not bound it.
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
    key, longest = max(((key, bound.length - len(key) - 1 - _SUFFIX) for key, bound in bounds.items()), key=lambda b: -b[1])
    if len(name) > longest:
        yield Problem(
            "name",
            f"{shown(name)} has {len(name)} characters; at most {longest} leave room for {f'-{key}'!r} and Pulumi's random "
            f"digits in the {bounds[key].length} that AWS takes",
        )

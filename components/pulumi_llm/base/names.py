"""The name of a component, as far as the physical names that are made of it bound it."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import pulumi
from pulumi.runtime import config as runtime_config

from pulumi_llm.base.problems import Problem, shown


class _Physical(NamedTuple):
    """What AWS takes as the name of a resource type."""

    length: int
    characters: str
    described: str
    argument: str = "name"
    """The argument that gives the name."""


# The strictest first. The lengths are those of botocore's models (tests/contract/test_names.py); where these have none, or none
# that is right, of these pages:
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html (the provider makes the letters small)
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateKnowledgeBase.html, …/API_agent_CreateDataSource.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
# https://docs.aws.amazon.com/eks/latest/userguide/create-managed-node-group.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html (registries)
_HYPHENS = (r"[A-Za-z0-9-]+", "letters, digits and '-'")
_WORDS = (r"[A-Za-z0-9_-]+", "letters, digits, '-' and '_'")
_DOTS = (r"[A-Za-z0-9._-]+", "letters, digits, '.', '-' and '_'")
_ROLE = (r"[A-Za-z0-9_+=,.@-]+", "letters, digits and _ + = , . @ -")
_ANY = (r"(?s).+", "any characters")
_KNOWLEDGE = _Physical(100, r"[A-Za-z0-9](?:[_-]?[A-Za-z0-9])*", "letters and digits, with single '-' or '_' between them,")
PHYSICAL = {
    "aws:lb/loadBalancer:LoadBalancer": _Physical(32, *_HYPHENS),
    "aws:s3/bucket:Bucket": _Physical(63, *_HYPHENS, "bucket"),
    "aws:bedrock/agentKnowledgeBase:AgentKnowledgeBase": _KNOWLEDGE,
    "aws:bedrock/agentDataSource:AgentDataSource": _KNOWLEDGE,
    "aws:bedrock/guardrail:Guardrail": _Physical(50, *_WORDS),
    "aws:cloudfront/function:Function": _Physical(64, *_WORDS),
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": _Physical(60, *_WORDS),
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": _Physical(60, *_WORDS),
    "aws:eks/nodeGroup:NodeGroup": _Physical(63, *_WORDS, "node_group_name"),
    "aws:lambda/function:Function": _Physical(64, *_WORDS),
    "aws:lambda/permission:Permission": _Physical(100, *_WORDS, "statement_id"),
    "aws:sqs/queue:Queue": _Physical(80, *_WORDS),
    "aws:wafv2/webAcl:WebAcl": _Physical(128, *_WORDS),
    "aws:cloudwatch/eventArchive:EventArchive": _Physical(48, *_DOTS),
    "aws:cloudwatch/eventRule:EventRule": _Physical(64, *_DOTS),
    "aws:pipes/pipe:Pipe": _Physical(64, *_DOTS),
    "aws:scheduler/schedule:Schedule": _Physical(64, *_DOTS),
    "aws:schemas/registry:Registry": _Physical(64, *_DOTS),
    "aws:iam/role:Role": _Physical(64, *_ROLE),
    "aws:iam/rolePolicy:RolePolicy": _Physical(128, *_ROLE),
    "aws:appconfig/application:Application": _Physical(64, *_ANY),
    "aws:appconfig/configurationProfile:ConfigurationProfile": _Physical(128, *_ANY),
    "aws:appconfig/deploymentStrategy:DeploymentStrategy": _Physical(64, *_ANY),
    "aws:appconfig/environment:Environment": _Physical(64, *_ANY),
    "aws:budgets/budget:Budget": _Physical(100, *_ANY),
    "aws:sfn/stateMachine:StateMachine": _Physical(80, *_ANY),
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

    A child whose name `customize` gives does not bound it. `instances` are what stands behind a key in the names of its
    children, "" where nothing does.
    """
    bounds = {key: PHYSICAL[kind] for key, each in children.items() if (kind := getattr(each, "pulumi_type", "")) in PHYSICAL}
    ends = {
        f"{key}-{instance}" if instance else key: physical
        for key, physical in bounds.items()
        for instance in instances.get(key, [""])
        if not any(_names(customize.get(given), physical.argument) for given in (key, f"{key}:{instance}"))
    }
    for physical in PHYSICAL.values():
        if physical in ends.values() and re.fullmatch(physical.characters, name) is None:
            yield Problem("name", f"{shown(name)} becomes part of names of which AWS takes {physical.described} only")
            return
    if not ends:
        return
    added, what = _added()
    end, longest = min(
        ((end, physical.length - len(end) - 1 - added) for end, physical in ends.items()), key=lambda bound: bound[1]
    )
    if len(name) > longest:
        yield Problem(
            "name",
            f"{shown(name)} has {len(name)} characters; at most {max(longest, 0)} leave room for {f'-{end}'!r} and {what} in "
            f"the {ends[end].length} that AWS takes",
        )


def _names(changes: Mapping[str, Any] | None, argument: str) -> bool:
    """Whether `customize` gives a child's name, in Python's spelling or the schema's."""
    return any(value and key.replace("_", "").lower() == argument.replace("_", "") for key, value in (changes or {}).items())


def _added() -> tuple[int, str]:
    """How many characters are added to a logical name, by the stack's `pulumi:autonaming` or by default, and what they are."""
    usual = (_SUFFIX, "Pulumi's random digits")
    given = runtime_config.CONFIG.get().get("pulumi:autonaming") or runtime_config.get_config_env().get("pulumi:autonaming")
    if not given:
        return usual
    naming = json.loads(given)
    naming = naming.get("providers", {}).get("aws") or naming
    if naming.get("mode") == "verbatim":
        return 0, "nothing else"
    pattern = naming.get("pattern", "")
    if "${name}" not in pattern:
        return usual
    for place, value in {
        "${name}": lambda: "",
        "${stack}": pulumi.get_stack,
        "${project}": pulumi.get_project,
        "${organization}": pulumi.get_organization,
        "${uuid}": lambda: "-" * 36,
    }.items():
        if place in pattern:
            pattern = pattern.replace(place, value())
    pattern = re.sub(r"\$\{(?:hex|alphanum|string|num)\((\d+)\)\}", lambda found: "-" * int(found[1]), pattern)
    return len(pattern), f"the {len(pattern)} characters of pulumi:autonaming"

"""The account and the Region in which a program runs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import Answer
from pulumi_llm_local.aws_types.draft import Draft, Place
from pulumi_llm_local.aws_types.values import UNKNOWN, revealed

AWS_PROVIDER: Final = "pulumi:providers:aws"


def place_of(inputs: Mapping[str, Any], default: Place) -> Place:
    """Where a provider resource of these inputs works: in its Region, and in the account whose role it assumes last.

    https://www.pulumi.com/registry/packages/aws/api-docs/provider/#inputs
    """
    given = {key: revealed(value) for key, value in inputs.items()}
    roles: str = given.get("assumeRoles") or "[]"  # a provider's lists travel as JSON
    assumed: list[Mapping[str, Any]] = [] if UNKNOWN in roles else json.loads(roles)
    arns = [str(role.get("roleArn")).split(":") for role in assumed]
    account = next((arn[4] for arn in reversed(arns) if len(arn) > 5), default.account)
    region = given.get("region")
    known = isinstance(region, str) and region not in ("", UNKNOWN)
    return replace(default, region=region if known else default.region, account=account)


def _region(call: Draft) -> Answer:
    """The region that the call names, else the place's."""
    name = call.text("region", call.text("name", call.region))
    return {
        "id": name,
        "name": name,
        "region": name,
        "description": _REGIONS.get(name, name),
        "endpoint": f"ec2.{name}.{call.dns_suffix}",
    }


_REGIONS: Final = {
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-southeast-2": "Asia Pacific (Sydney)",
    "eu-central-1": "Europe (Frankfurt)",
    "eu-west-1": "Europe (Ireland)",
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-2": "US West (Oregon)",
}


def _caller_identity(call: Draft) -> Answer:
    """A deployment role's session."""
    return {
        "id": call.account,
        "accountId": call.account,
        "arn": f"arn:{call.partition}:sts::{call.account}:assumed-role/deployment/pulumi",
        "userId": f"AROA{call.upper(17)}:pulumi",
    }


def _partition(call: Draft) -> Answer:
    """The partition of the place's region."""
    suffix = call.dns_suffix
    return {
        "id": call.partition,
        "partition": call.partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


def _availability_zones(call: Draft) -> Answer:
    """Three zones, and six of us-east-1, less those that the call excludes.

    https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
    """
    letters = "abcdef" if call.region == "us-east-1" else "abc"
    area, direction, number = call.region.rsplit("-", 2)
    short = area.replace("-", "") + "".join(word[0] for word in _compass(direction)) + number
    zones = [(f"{call.region}{letter}", f"{short}-az{index}") for index, letter in enumerate(letters, start=1)]
    kept = [
        zone
        for zone in zones
        if zone[0] not in call.inputs.get("excludeNames", []) and zone[1] not in call.inputs.get("excludeZoneIds", [])
    ]
    return {
        **call.inputs,
        "id": call.region,
        "region": call.region,
        "names": [name for name, _ in kept],
        "zoneIds": [zone_id for _, zone_id in kept],
        "groupNames": [call.region],
    }


def _compass(direction: str) -> list[str]:
    """Split `southeast` in two."""
    for first in ("north", "south"):
        if direction.startswith(first) and direction != first:
            return [first, direction.removeprefix(first)]
    return [direction]


INVOKES: Final[Mapping[str, Callable[[Draft], Answer]]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _availability_zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
}

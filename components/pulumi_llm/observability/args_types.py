"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi


class CostTagArgs(TypedDict):
    """A cost allocation tag and its value."""

    key: str
    """The tag's key. It must be activated as a cost allocation tag in the account that pays the bill; AWS shows a new tag
    there only after up to 24 hours, and counts costs from its activation on."""
    value: pulumi.Input[str]
    """The tag's value."""


class BudgetArgs(TypedDict):
    """A monthly budget. It notifies at 50, 80 and 100 % of the amount, and when a month is forecast to pass it. It stops
    nothing, and AWS's figures are some hours old."""

    emails: NotRequired[Sequence[pulumi.Input[str]]]
    """The e-mail addresses that are notified, at most ten. Default: none; then `topic_arn` is required."""
    topic_arn: NotRequired[pulumi.Input[str]]
    """The SNS topic that is notified. Default: none; then `emails` is required."""
    monthly_usd: pulumi.Input[float]
    """The amount a month, in US dollars. From 1 to 1,000,000,000."""
    cost_tag: NotRequired[CostTagArgs]
    """Count only the costs of resources with this tag. Default: the costs of the whole account."""


class ObservabilityArgs(TypedDict):
    """What to watch, and who is notified."""

    budget: NotRequired[BudgetArgs]
    """A budget that notifies its subscribers of what the account costs. Default: none."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""

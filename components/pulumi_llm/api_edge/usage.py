"""The table of what callers have used on past days."""

from typing import Any

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import USAGE
from pulumi_llm.api_edge.tables import UsedTable, expiring_table
from pulumi_llm.base.component import Component


def usage_table(component: Component, kms_key_arn: pulumi.Input[str] | None, *, deletion_protection: bool) -> dynamodb.Table:
    """Make the table. A request is some four units of writes, and a question some hundred of reads.

    The logs from which it could be counted anew are gone earlier, so it is kept as the table of keys is.
    """
    return expiring_table(
        component,
        "usage-table",
        USAGE,
        kms_key_arn,
        reads=5_000,
        writes=10_000,
        deletion_protection=deletion_protection,
        sort_type="S",
    )


def read_usage(table: UsedTable) -> list[dict[str, Any]]:
    """Statements that allow to tell callers what they have used."""
    return table.allow("Read", "Usage", "Query")

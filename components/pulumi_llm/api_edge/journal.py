"""The table of the journal, in which answers are kept for clients that come back."""

from typing import Any

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import JOURNAL
from pulumi_llm.api_edge.tables import UsedTable, expiring_table
from pulumi_llm.base.component import Component


def journal_table(component: Component, kms_key_arn: pulumi.Input[str] | None) -> dynamodb.Table:
    """Make the table: streamed answers of the last quarter of an hour, whole ones of the last day, and older ones until TTL
    deletes them."""
    # A stream writes some three units a second. What is throttled is written a second later.
    return expiring_table(component, "journal-table", JOURNAL, kms_key_arn, reads=5_000, writes=10_000)


def use_journal(table: UsedTable) -> list[dict[str, Any]]:
    """Statements that allow to keep answers and to send them again."""
    return table.allow("Use", "Journal", "GetItem", "PutItem", "Query", "UpdateItem")

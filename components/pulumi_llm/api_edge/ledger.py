"""The table of what callers have used of their limits."""

from typing import Any

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import LEDGER
from pulumi_llm.api_edge.tables import UsedTable, expiring_table
from pulumi_llm.base.component import Component


def ledger_table(component: Component, kms_key_arn: pulumi.Input[str] | None, *, deletion_protection: bool) -> dynamodb.Table:
    """Make the table. Each call writes to it twice; who has used up a limit tries more often.

    Without its data every caller could use all once more, so it is kept as the table of keys is.
    """
    return expiring_table(
        component, "ledger-table", LEDGER, kms_key_arn, reads=1_000, writes=10_000, deletion_protection=deletion_protection
    )


def use_ledger(table: UsedTable, *, read: bool = False) -> list[dict[str, Any]]:
    """Statements that allow to reserve and to settle; with `read` also to tell a caller what it has used."""
    return table.allow("Use", "Ledger", *(["GetItem"] if read else []), "UpdateItem")

"""The table of tickets, with which browsers connect WebSockets: a REST API issues them, a WebSocket API takes them."""

from typing import Any

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import TICKETS
from pulumi_llm.api_edge.tables import UsedTable, expiring_table
from pulumi_llm.base.component import Component


def tickets_table(component: Component, kms_key_arn: pulumi.Input[str] | None) -> dynamodb.Table:
    """Make the table of tickets: one write for each that is issued, and one for each that is used."""
    return expiring_table(component, "tickets-table", TICKETS, kms_key_arn, reads=100, writes=2_000)


def issue_tickets(table: UsedTable) -> list[dict[str, Any]]:
    """Statements that allow to issue tickets, and neither to read nor to use one."""
    return table.allow("Issue", "Tickets", "PutItem")


def redeem_tickets(table: UsedTable) -> list[dict[str, Any]]:
    """Statements that allow to use tickets."""
    return table.allow("Redeem", "Tickets", "DeleteItem")

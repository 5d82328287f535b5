"""The table of tickets, with which browsers connect WebSockets: a REST API issues them, a WebSocket API takes them."""

from typing import Any, NamedTuple

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import TICKETS
from pulumi_llm.api_edge.expiring_table import expiring_table
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, decrypt_table


def tickets_table(component: Component, kms_key_arn: pulumi.Input[str] | None) -> dynamodb.Table:
    """Make the table of tickets: one write for each that is issued, and one for each that is used."""
    keys, ttl = {TICKETS.hash_key: "S"}, TICKETS.ttl_attribute
    return expiring_table(component, "tickets-table", keys, ttl, kms_key_arn, reads=100, writes=2_000)


class TicketsTable(NamedTuple):
    """The table of tickets. `kms_key_arn` encrypts it where that is not the key that the functions share."""

    name: pulumi.Input[str]
    arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str] | None = None

    def issue(self) -> list[dict[str, Any]]:
        """Statements that allow to issue tickets, and neither to read nor to use one."""
        return self._allow("IssueTickets", "dynamodb:PutItem")

    def redeem(self) -> list[dict[str, Any]]:
        """Statements that allow to use tickets."""
        return self._allow("RedeemTickets", "dynamodb:DeleteItem")

    def _allow(self, sid: str, action: str) -> list[dict[str, Any]]:
        statements = [allow(sid, [action], self.arn)]
        return statements if self.kms_key_arn is None else [*statements, decrypt_table("DecryptTickets", self.kms_key_arn)]

"""The tables of connections and of the journal."""

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import CONNECTIONS, JOURNAL
from pulumi_llm.api_edge.tables import expiring_table
from pulumi_llm.base.component import Component


def connections_table(component: Component, kms_key_arn: pulumi.Input[str] | None) -> dynamodb.Table:
    """Make the table of connections. It holds nothing that outlives them."""
    return expiring_table(component, "connections-table", CONNECTIONS, kms_key_arn, reads=2_000, writes=2_000)


def journal_table(component: Component, kms_key_arn: pulumi.Input[str] | None) -> dynamodb.Table:
    """Make the table of the journal: the answers of the last quarter of an hour, and older ones until TTL deletes them."""
    # A generation writes some three units a second. What is throttled is written a second later.
    return expiring_table(component, "journal-table", JOURNAL, kms_key_arn, reads=5_000, writes=10_000)

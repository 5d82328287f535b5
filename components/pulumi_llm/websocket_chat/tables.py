"""The table of connections."""

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import CONNECTIONS
from pulumi_llm.api_edge.tables import expiring_table
from pulumi_llm.base.component import Component


def connections_table(component: Component, kms_key_arn: pulumi.Input[str] | None) -> dynamodb.Table:
    """Make the table of connections. It holds nothing that outlives them."""
    return expiring_table(component, "connections-table", CONNECTIONS, kms_key_arn, reads=2_000, writes=2_000)

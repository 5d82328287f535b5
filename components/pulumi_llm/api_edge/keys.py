"""API keys, and the table of their hashes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pulumi
from pulumi_aws import apigateway, dynamodb

from llm_gateway.identity import keys
from llm_gateway.identity.caller import Caller, key_hash
from pulumi_llm.api_edge.settings import ApiKeySettings
from pulumi_llm.api_edge.tables import UsedTable, encryption
from pulumi_llm.base.component import Component


def keys_table(
    component: Component, *, deletion_protection: bool, kms_key_arn: pulumi.Input[str] | None, reads_per_second: int
) -> dynamodb.Table:
    """Make the table of the keys' hashes, of which the authorizer reads one for each request."""
    return dynamodb.Table(
        component.child_name("keys-table"),
        billing_mode="PAY_PER_REQUEST",
        # A bound on what it may cost. A request reads one item at most, and only a deployment writes.
        on_demand_throughput={"max_read_request_units": max(1_000, reads_per_second), "max_write_request_units": 100},
        hash_key=keys.HASH_KEY,
        attributes=[{"name": keys.HASH_KEY, "type": "S"}],
        deletion_protection_enabled=deletion_protection,
        server_side_encryption=encryption(kms_key_arn),
        point_in_time_recovery={"enabled": True},
        tags=component.tags,
        # AWS refuses to delete the table alone; Pulumi refuses to destroy the stack before it has deleted anything.
        opts=component.child("keys-table", protect=deletion_protection or None),
    )


def read_keys(table: UsedTable) -> list[dict[str, Any]]:
    """Statements that allow to look API keys up in their table."""
    return table.allow("Read", "Keys", "GetItem")


def api_keys(
    component: Component,
    settings: Sequence[ApiKeySettings],
    table: dynamodb.Table,
    *,
    deletion_protection: bool,
    planned: bool = True,
) -> dict[str, apigateway.ApiKey]:
    """Make the keys, by their names. API Gateway makes the values that are not given; only the hash of a value is stored.

    Unless they are `planned`, which is that usage plans count them, they are disabled at API Gateway, which then only makes
    their values: the authorizer alone decides.

    A value that API Gateway made cannot be made again, so its key is protected until it is disabled. The authorizer does not
    know a disabled key.
    """
    made: dict[str, apigateway.ApiKey] = {}
    for key in settings:
        name = key.name
        irreplaceable = deletion_protection and key.enabled and key.value is None
        made[name] = apigateway.ApiKey(
            f"{component.child_name('key')}-{name}",
            value=None if key.value is None else pulumi.Output.secret(key.value),
            description=f"pulumi-llm key {name} of tenant {key.tenant}",
            enabled=key.enabled and planned,
            tags=component.tags,
            opts=component.child("key", additional_secret_outputs=["value"], protect=irreplaceable or None),
        )
        if not key.enabled:
            continue
        caller = Caller(tenant=key.tenant, key=name, models=key.models, connections=key.websocket_connections)
        dynamodb.TableItem(
            f"{component.child_name('key-item')}-{name}",
            table_name=table.name,
            hash_key=keys.HASH_KEY,
            item=made[name].value.apply(_item_of(caller, websocket=key.websocket)),
            opts=component.child("key-item"),
        )
    return made


def _item_of(caller: Caller, *, websocket: bool) -> Callable[[str], str]:
    # A unit test's own mocks may give a key no value.
    return lambda value: json.dumps(keys.item(key_hash(value or ""), caller, websocket=websocket))

"""The tables of DynamoDB: how they are made, and what a function that uses another component's is allowed."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self, cast

import pulumi
from pulumi_aws import dynamodb

from llm_gateway.tables import IndexKeys, TableKeys
from pulumi_llm.api_edge.used import TableSettings
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, decrypt_table


class UsedTable(NamedTuple):
    """A table that functions use. `kms_key_arn` encrypts it where that is not the key that the functions share."""

    name: pulumi.Input[str]
    arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str] | None = None

    @classmethod
    def of(cls, settings: TableSettings) -> Self:
        """The table of another component."""
        return cls(settings.name, settings.arn, settings.kms_key_arn)

    def allow(self, verb: str, what: str, *actions: str) -> list[dict[str, Any]]:
        """Statements that allow actions on the table. `verb` and `what` name them."""
        statements = [allow(f"{verb}{what}", [f"dynamodb:{action}" for action in actions], self.arn)]
        return statements if self.kms_key_arn is None else [*statements, decrypt_table(f"Decrypt{what}", self.kms_key_arn)]


def encryption(kms_key_arn: pulumi.Input[str] | None) -> dynamodb.TableServerSideEncryptionArgsDict:
    """How a table is encrypted.

    Without a key, by the account's own `aws/dynamodb`, whose uses CloudTrail records; DynamoDB asks KMS seldom.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
    """
    return {"enabled": True} if kms_key_arn is None else {"enabled": True, "kms_key_arn": kms_key_arn}


def expiring_table(
    component: Component,
    key: str,
    keys: TableKeys,
    kms_key_arn: pulumi.Input[str] | None,
    *,
    reads: int,
    writes: int,
    deletion_protection: bool | None = None,
    indexes: Sequence[IndexKeys] = (),
    stream: bool = False,
    sort_type: Literal["N", "S"] = "N",
) -> dynamodb.Table:
    """Make a table whose items expire. `reads` and `writes`, units a second, are bounds on what it may cost.

    With `deletion_protection`, true or false, the table can be restored to any second of the last 35 days. `indexes` find its
    items in other ways, by attributes that are strings. With a `stream`, every change of an item can be followed, with what
    was there before.

    Items say until when they are valid, and are not used after that. DynamoDB's TTL deletes them later, within a few days.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
    """
    attributes: list[dynamodb.TableAttributeArgsDict] = [{"name": keys.hash_key, "type": "S"}]
    if keys.sort_key:
        attributes.append({"name": keys.sort_key, "type": sort_type})
    names = dict.fromkeys(name for index in indexes for name in (index.hash_key, index.sort_key) if name != keys.hash_key)
    attributes.extend(dynamodb.TableAttributeArgsDict(name=name, type="S") for name in names)
    bounds: dict[str, int] = {"max_read_request_units": reads, "max_write_request_units": writes}
    return dynamodb.Table(
        component.child_name(key),
        billing_mode="PAY_PER_REQUEST",
        on_demand_throughput=cast(Any, bounds),
        hash_key=keys.hash_key,
        range_key=keys.sort_key or None,
        attributes=attributes,
        global_secondary_indexes=[_index(index, bounds) for index in indexes] or None,
        stream_enabled=stream or None,
        stream_view_type="NEW_AND_OLD_IMAGES" if stream else None,
        ttl={"attribute_name": keys.ttl_attribute, "enabled": True},
        server_side_encryption=encryption(kms_key_arn),
        deletion_protection_enabled=deletion_protection,
        point_in_time_recovery=None if deletion_protection is None else {"enabled": True},
        tags=component.tags,
        # AWS refuses to delete the table alone; Pulumi refuses to destroy the stack before it has deleted anything.
        opts=component.child(key, protect=deletion_protection or None),
    )


def _index(index: IndexKeys, bounds: dict[str, int]) -> dynamodb.TableGlobalSecondaryIndexArgsDict:
    """An index with bounds of its own: AWS gives it none of the table's."""
    return {
        "name": index.name,
        "hash_key": index.hash_key,
        "range_key": index.sort_key,
        "projection_type": "INCLUDE",
        "non_key_attributes": list(index.included),
        "on_demand_throughput": cast(Any, bounds),
    }
